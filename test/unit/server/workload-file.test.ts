/** Files of workloads: what is read, and where a mistake is. */

import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { isDoorwardError } from '@doorward/core'
import { ConfigurationError } from '../../../packages/server/src/config/problem.ts'
import { parseWorkloads, readWorkloadText, workloadsYaml } from '../../../packages/server/src/config/workload-file.ts'
import { anyWorkloads, trustDomain } from '../core/workload-arbitraries.ts'

function ids(text: string): readonly string[] {
  return parseWorkloads(text, 'w.yaml', trustDomain).map(({ id }) => id.replace('spiffe://acme.example/', ''))
}

/** `line:column path` of every mistake. */
function mistakes(text: string): readonly string[] {
  try {
    parseWorkloads(text, 'w.yaml', trustDomain)
    return []
  } catch (error) {
    assert.ok(error instanceof ConfigurationError, String(error))
    return error.problems.map(({ line, column, path }) => `${line}:${column ?? '-'} ${path}`)
  }
}

describe('a file of workloads', () => {
  test('holds documents, lists of them, or both, and nothing at all too', () => {
    assert.deepEqual(ids('id: agent/a'), ['agent/a'])
    assert.deepEqual(ids('- id: agent/b\n- id: agent/a\n'), ['agent/a', 'agent/b'])
    assert.deepEqual(ids('id: agent/a\n---\n- id: agent/b\n---\n---\nid: agent/c\n'), ['agent/a', 'agent/b', 'agent/c'])
    assert.deepEqual(ids('[{"id": "spiffe://acme.example/agent/a"}]'), ['agent/a'])
    for (const empty of ['', '# nothing\n', '[]', '---\n']) assert.deepEqual(ids(empty), [])
  })

  test('is what an export writes', () => {
    fc.assert(
      fc.property(anyWorkloads, (workloads) => {
        const sorted = workloads.toSorted((a, b) => (a.id < b.id ? -1 : 1))
        assert.deepEqual(parseWorkloads(workloadsYaml(workloads, trustDomain), 'export', trustDomain), sorted)
      }),
    )
  })

  const wrong: readonly (readonly [string, string, readonly string[]])[] = [
    ['an unknown key', 'id: agent/a\nrolez: [a]\n', ['2:1 rolez']],
    ['an unknown key in a later document', 'id: agent/a\n---\nid: agent/b\n\nttl: 1h\n', ['5:1 ttl']],
    ['a missing id', '- roles: [a]\n', ['1:3 [0].id']],
    [
      'a mistake deep inside',
      '- id: a\n  attest:\n    - oidc:\n        issuer: ci\n        claims: {}\n',
      ['5:9 [0].attest[0].oidc.claims'],
    ],
    ['a repeated id', '- id: a\n- id: b\n- id: spiffe://acme.example/a\n', ['3:3 [2].id']],
    ['a repeated id across documents', 'id: a\n---\nid: a\n', ['3:1 id']],
    ['an id of another trust domain', 'id: spiffe://other.example/a\n', ['1:1 id']],
    ['an id of a part of Doorward', 'id: doorward/gateway/eu\n', ['1:1 id']],
    ['text in place of a workload', 'agent/a\n', ['1:1 ']],
    ['several mistakes', 'id: a\nroles: [a b]\nttl_seconds: 1\n', ['2:9 roles[0]', '3:1 ttl_seconds']],
  ]
  for (const [what, text, places] of wrong)
    test(`is refused with line and column for ${what}`, () => assert.deepEqual(mistakes(text), places))

  test('is refused where YAML says something else than it seems', () => {
    for (const text of [
      'id: a\nid: b\n',
      'a: &x {id: a}\nb: *x\n',
      'id: !!str a\n',
      '__proto__: {id: a}\n',
      'id: [\n',
      '<<: {id: a}\n',
    ])
      assert.notDeepEqual(mistakes(text), [], text)
  })

  test('is refused, not the end of us, however deep it goes', () => {
    for (const text of [
      '['.repeat(50_000),
      '- '.repeat(50_000),
      `id: a\nroles: ${'['.repeat(20_000)}${']'.repeat(20_000)}`,
    ])
      assert.throws(
        () => parseWorkloads(text, 'w.yaml', trustDomain),
        (error) => isDoorwardError(error),
      )
  })

  test('never fails in another way than with mistakes', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...Array.from('id: a\n-[]{}&*!?|>"\'#,rolestx')) }), (text) => {
        mistakes(text)
      }),
    )
  })
})

describe('the text of a file', () => {
  test('comes from a file or from standard input, bounded and in UTF-8', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'doorward-workloads-'))
    try {
      const file = join(folder, 'w.yaml')
      await writeFile(file, 'id: a\n')
      assert.equal(await readWorkloadText(file, Readable.from([])), 'id: a\n')
      assert.equal(await readWorkloadText('-', Readable.from([Buffer.from('id: '), Buffer.from('a')])), 'id: a')
      await assert.rejects(readWorkloadText(join(folder, 'none'), Readable.from([])), { code: 'configuration_missing' })
      await writeFile(file, Buffer.from([0xff, 0xfe]))
      await assert.rejects(readWorkloadText(file, Readable.from([])), { code: 'configuration_unreadable' })
      await writeFile(file, Buffer.alloc(4 * 1024 * 1024 + 1, '#'))
      await assert.rejects(readWorkloadText(file, Readable.from([])), { code: 'configuration_unreadable' })
      const endless = Readable.from(
        (function* () {
          while (true) yield Buffer.alloc(65_536, '#')
        })(),
      )
      await assert.rejects(readWorkloadText('-', endless), { code: 'configuration_unreadable' })
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  })
})
