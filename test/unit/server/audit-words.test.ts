/** What people write after `doorward audit`: ids of entries, times, and keys. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { epochMillis, isDoorwardError, parseSpiffeId, principalName } from '@doorward/core'
import type { SpiffeId } from '@doorward/core'
import { entryDocument, entryLine } from '../../../packages/server/src/cli/audit-line.ts'
import { keyText, readEntryName } from '../../../packages/server/src/cli/audit-places.ts'
import { readTime } from '../../../packages/server/src/cli/audit-query.ts'

const misuse = (error: unknown) => isDoorwardError(error, 'usage')
const now = epochMillis(Date.UTC(2026, 0, 31, 12))

test('the id of an entry is an origin and an index', () => {
  assert.deepEqual(readEntryName('a.example/gateway/main#0'), { origin: 'a.example/gateway/main', index: 0 })
  assert.deepEqual(readEntryName('a#9007199254740991'), { origin: 'a', index: Number.MAX_SAFE_INTEGER })
  for (const wrong of [
    '',
    '#1',
    'a',
    'a#',
    'a#01',
    'a#-1',
    'a#1e1',
    'a#1.5',
    'a#9007199254740992',
    'a b#1',
    'a#1#2',
    'a+b#1',
    'a#1\n',
  ])
    assert.throws(() => readEntryName(wrong), misuse, JSON.stringify(wrong))
})

test('a time is a moment or how long ago', () => {
  for (const [text, expected] of [
    ['0s', now],
    ['90s', now - 90_000],
    ['30m', now - 1_800_000],
    ['2h', now - 7_200_000],
    ['7d', now - 604_800_000],
    ['2026-01-31T12:00:00Z', now],
    ['2026-01-31t12:00:00z', now],
    ['2026-01-31T13:00:00+01:00', now],
    ['2026-01-31T12:00:00.250Z', now + 250],
    ['2024-02-29T00:00:00Z', Date.UTC(2024, 1, 29)],
  ] as const)
    assert.equal(readTime(text, now), expected, text)
  for (const wrong of [
    '',
    'now',
    'yesterday',
    '2',
    'h',
    '-2h',
    '2 h',
    '1.5h',
    '2w',
    '9999999h',
    '2026-01-31',
    '2026-01-31T12:00:00',
    '2026-01-31 12:00:00Z',
    '2026-02-30T12:00:00Z',
    '2026-13-01T00:00:00Z',
    '2026-01-31T25:00:00Z',
    '1769860800',
  ])
    assert.throws(() => readTime(wrong, now), misuse, wrong)
})

test('a verifier key is given as it is or as a file', async () => {
  const vkey = 'a.example/gateway/main+01234567+AQ=='
  assert.equal(await keyText(vkey), vkey)
  await assert.rejects(keyText('no/such/file'), (error) => isDoorwardError(error, 'file_unreadable'))
})

test('an entry whose payload is absent is shown as such', () => {
  const entry = { origin: 'a', index: 3, time: now, content: { state: 'absent', why: 'expired' } } as const
  assert.deepEqual(entryDocument(entry), {
    origin: 'a',
    index: 3,
    kind: null,
    time: now,
    body: null,
    payload: 'absent',
    why: 'expired',
  })
  assert.match(entryLine(entry, false), /^12:00:00\.000 {2}absent {2}what it says has expired {2}a#3$/)
})

test('a call for somebody else is shown with every link of its chain', () => {
  const [presenter, one, two, three, subject] = ['presenter', 'one', 'two', 'three', 'subject'].map((name) =>
    parseSpiffeId(`spiffe://acme.example/agent/of-a-longer-name/${name}`),
  ) as [SpiffeId, SpiffeId, SpiffeId, SpiffeId, SpiffeId]
  const caller = principalName({ presenter, act: [one, two, three], subject: { kind: 'workload', id: subject } })
  const body = { decision: 'allow', code: 'allowed', caller, action: 'GET', resource: { server: 's', name: '/v1' } }
  const entry = { v: 1, kind: 'decision', time: epochMillis(0), body } as const
  const shown = { origin: 'a', index: 3, time: epochMillis(0), content: { state: 'present', entry } } as const
  const line = entryLine(shown as object as Parameters<typeof entryLine>[0], false)
  const between = [one, two, three].map(({ uri }) => uri).join(' ')
  assert.ok(line.includes(`  ${presenter.uri} through ${between} for ${subject.uri}  GET s/v1`), line)
})
