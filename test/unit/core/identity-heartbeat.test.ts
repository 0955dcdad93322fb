import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { openHeartbeat, parseTrustMessage, signHeartbeat } from '@doorward/core'
import type { Heartbeat, OpenedTrustState } from '@doorward/core'
import { after, now, trustDomain } from './identity-fixture.ts'
import { codeOf, delegation, opened, root, signed, stateKey, tokenKey } from './trust-state-stage.ts'

describe('a line of the stream', () => {
  test('that is not exactly one signed message is refused', async () => {
    const message = await signed()
    const text = JSON.stringify(message)
    const refused = [
      '',
      'null',
      '[]',
      '{}',
      `${text}\n${text}`,
      text.replace('"kind":"trust-state"', '"kind":"other"'),
      text.replace('"kind":"trust-state"', '"kind":"heartbeat"'),
      text.replace('{', '{"kind":"heartbeat",'),
      text.replace('{', '{"x":1,'),
      JSON.stringify({ ...message, payload: 1 }),
      JSON.stringify({ ...message, delegation: null }),
      JSON.stringify({ ...message, delegation: { ...delegation, root: { ...root.jwk, d: 'x' } } }),
      JSON.stringify({ ...message, delegation: { ...delegation, root: { ...root.jwk, crv: 'P-384' } } }),
    ]
    for (const line of refused)
      assert.equal(codeOf(parseTrustMessage(line)), 'trust_message_malformed', line.slice(0, 60))
  })
})

describe('heartbeats', () => {
  let current: OpenedTrustState
  before(async () => {
    current = opened(await signed())
  })
  const beat = (change: Partial<Heartbeat> = {}, by = stateKey) =>
    signHeartbeat(
      { scope: 'full', trustDomain, delegation: 1, sequence: 5, digest: current.digest, time: now, ...change },
      by.signKey,
    )
  const judge = async (
    change: Partial<Heartbeat> = {},
    check: { after?: typeof now; now?: typeof now } = {},
    by = stateKey,
  ) => openHeartbeat(await beat(change, by), { current, trustDomain, now, ...check })

  test('confirm the state held', async () => {
    const result = await judge()
    assert.ok(!('code' in result) && result.order === 'same')
    assert.equal(result.heartbeat.time, now)
    const message = await beat()
    assert.deepEqual(parseTrustMessage(JSON.stringify(message)), message)
  })
  test('of a newer state say that one is missing', async () => {
    const result = await judge({ sequence: 6, digest: 'x'.repeat(43) })
    assert.ok(!('code' in result) && result.order === 'newer')
  })
  test('RV-3: of another scope are refused, whatever version they name', async () => {
    for (const sequence of [4, 5, 6])
      assert.equal(codeOf(await judge({ scope: 'callers', sequence })), 'heartbeat_scope')
  })
  test('of an older state, of other content, of another domain or delegation are refused', async () => {
    assert.equal(codeOf(await judge({ sequence: 4 })), 'heartbeat_rollback')
    assert.equal(codeOf(await judge({ digest: 'x'.repeat(43) })), 'heartbeat_equivocation')
    assert.equal(codeOf(await judge({ trustDomain: 'evil.example' })), 'heartbeat_trust_domain')
    assert.equal(codeOf(await judge({ delegation: 2 })), 'heartbeat_delegation')
  })
  test('that are old, replayed or from the future are refused', async () => {
    assert.equal(codeOf(await judge({}, { now: after(61) })), 'heartbeat_stale')
    assert.equal(codeOf(await judge({}, { after: after(1) })), 'heartbeat_stale')
    assert.equal(codeOf(await judge({}, { now: after(-61) })), 'heartbeat_not_yet_valid')
  })
  test('by another key, or with the signature of a state, are refused', async () => {
    assert.equal(codeOf(await judge({}, {}, tokenKey)), 'heartbeat_signature')
    const { payload, signature } = await signed()
    assert.equal(
      codeOf(openHeartbeat({ kind: 'heartbeat', payload, signature }, { current, trustDomain, now })),
      'heartbeat_signature',
    )
  })
  test('are refused once the delegation has ended', async () => {
    const end = after(2_592_000)
    assert.equal(codeOf(await judge({ time: end }, { now: end })), 'delegation_expired')
  })
})
