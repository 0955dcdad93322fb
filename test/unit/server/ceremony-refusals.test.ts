/** What ceremonies and delegations refuse: a second one, an unwilling end, another root, other keys, keys that are revoked meanwhile. */

import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { jwkThumbprint, signDelegation } from '@doorward/core'
import { generateP256, sha256 } from '@doorward/sdk'
import { abandonCeremony, startCeremony } from '../../../packages/server/src/authority/ceremony-start.ts'
import { acceptDelegation, delegationRequest } from '../../../packages/server/src/authority/delegation-request.ts'
import { revoke } from '../../../packages/server/src/authority/revoke.ts'
import {
  assertSound,
  begin,
  expectDone,
  follow,
  newest,
  newestState,
  operator,
  recovery,
  rotation,
  runToEnd,
  signWithRoot,
} from '../../fixtures/authority/ceremony-run.ts'
import { sharedGround } from '../../fixtures/authority/one-store.ts'
import type { SharedAuthority, SharedGround } from '../../fixtures/authority/one-store.ts'

let ground: SharedGround
let a: SharedAuthority
let b: SharedAuthority

beforeEach(async () => {
  ground = await sharedGround()
  a = await ground.open('a')
  b = await ground.open('b')
  for (const authority of [a, b]) await authority.turn()
})
afterEach(() => ground.remove())

const both = () => [a, b]

async function denied(keyId: string): Promise<void> {
  const by = { name: 'ann', id: operator, serial: '01' }
  const parts = { context: a.context, settleKeys: async () => false, publish: async () => undefined }
  expectDone(await revoke(parts, { subject: { kind: 'authority', keyId }, reason: 'lost', by }))
}

describe('one ceremony at a time', () => {
  test('a second one is refused while one is open', async () => {
    await begin(a, { kind: 'rotate' })
    const second = await startCeremony(b.context, recovery, operator)
    assert.ok('refused' in second && second.code === 'conflict')
    await runToEnd(ground, both)
    expectDone(await startCeremony(b.context, rotation, operator))
  })

  test('of two that start at the same moment one is refused', async () => {
    const started = await Promise.all(both().map(({ context }) => startCeremony(context, rotation, operator)))
    assert.equal(started.filter((one) => 'refused' in one).length, 1)
  })

  test('one can be given up until its keys are out, and not after', async () => {
    await begin(a, { kind: 'recover' })
    for (const authority of both()) await authority.turn()
    assert.equal(expectDone(await abandonCeremony(b.context, operator)).stage, 'failed')
    const without = await abandonCeremony(b.context, operator)
    assert.ok('refused' in without && without.code === 'resource_unknown')
    await follow(ground, 'spiffe://test.example/agent/slow', { delegation: 1, sequence: 1 })
    await begin(a, { kind: 'rotate' })
    for (const authority of both()) await authority.turn()
    const late = await abandonCeremony(b.context, operator)
    assert.ok('refused' in late && late.code === 'conflict')
    await runToEnd(ground, both)
  })

  test('one whose authorities are all gone can be given up', async () => {
    await follow(ground, 'spiffe://test.example/agent/slow', { delegation: 1, sequence: 1 })
    await begin(a, { kind: 'rotate', only: 'b' })
    await b.turn()
    assert.equal((await newest(ground)).stage, 'publish')
    b.close()
    ground.advance(16_000)
    await a.turn()
    assert.equal(expectDone(await abandonCeremony(a.context, operator)).stage, 'failed')
    await assertSound(ground, [a])
  })

  test('what makes no sense is refused', async () => {
    for (const wanted of [
      { ...rotation, reason: ' ' },
      { ...rotation, reason: 'x'.repeat(501) },
      { ...rotation, emergency: true },
      { ...rotation, excluded: ['a'] },
      { ...recovery, retire: true },
      { ...recovery, only: 'a' },
    ]) {
      const started = await startCeremony(a.context, wanted, operator)
      assert.ok('refused' in started && started.code === 'request_invalid')
    }
    const unknown = await startCeremony(a.context, { ...rotation, only: 'nobody' }, operator)
    assert.ok('refused' in unknown && unknown.code === 'resource_unknown')
    assert.equal(await ground.store.ceremonies.newest(), null)
  })
})

describe('CA-4: a delegation', () => {
  test('by another root, of an old version, for other keys or for too long is refused', async () => {
    const { statement } = expectDone(await delegationRequest(a.context))
    const other = await generateP256()
    const { key, jwk } = ground.root
    const attempts = [
      ['delegation_refused', await signDelegation(statement, other.signKey, other.jwk)],
      ['delegation_refused', await signDelegation(statement, other.signKey, jwk)],
      ['delegation_refused', await signDelegation({ ...statement, keys: [...statement.keys, other.jwk] }, key, jwk)],
      [
        'delegation_refused',
        await signDelegation({ ...statement, expiresAt: (statement.issuedAt + 367 * 86_400) as never }, key, jwk),
      ],
      ['conflict', await signDelegation({ ...statement, version: statement.version - 1 }, key, jwk)],
      ['conflict', await signDelegation({ ...statement, version: statement.version + 1 }, key, jwk)],
    ] as const
    for (const [code, signed] of attempts) {
      const result = await acceptDelegation(a.context, signed, operator)
      assert.ok('refused' in result && result.code === code, 'refused' in result ? result.explanation : 'accepted')
    }
    assert.equal((await ground.store.trust.newestDelegation())?.version, 2)
  })

  test('for a recovery names exactly the keys that were made for it', async () => {
    await begin(a, { kind: 'recover' })
    const early = await delegationRequest(a.context)
    assert.ok('refused' in early && early.code === 'conflict')
    for (const authority of [a, b, a]) await authority.turn()
    const { statement, candidates } = expectDone(await delegationRequest(b.context))
    const contributed = await ground.store.ceremonies.contributions((await newest(ground)).id)
    assert.deepEqual(
      candidates.map(({ thumbprint }) => thumbprint),
      contributed.map(({ trustKey }) => jwkThumbprint(trustKey, sha256)),
    )
    const { key, jwk } = ground.root
    const fewer = await signDelegation({ ...statement, keys: statement.keys.slice(1) }, key, jwk)
    const result = await acceptDelegation(a.context, fewer, operator)
    assert.ok('refused' in result && result.code === 'delegation_refused')
  })

  test('renewed by hand is taken up by every authority', async () => {
    const delegation = await signWithRoot(ground, a)
    for (const authority of both()) await authority.turn()
    for (const { trust } of both()) {
      assert.equal(trust.publisher.delegation.stored.version, delegation.version)
      assert.notEqual(trust.publisher.delegation.key, null)
    }
    await b.trust.publisher.publish()
    assert.equal((await newestState(ground)).delegation, delegation.version)
  })
})

describe('an authority that does not come back', () => {
  test('who was shut out stays so over later ceremonies', async () => {
    await begin(a, { kind: 'recover', excluded: ['b'] })
    await runToEnd(ground, both)
    const { id, excluded } = await begin(a, { kind: 'rotate' })
    assert.deepEqual(
      excluded.map(({ name }) => name),
      ['b'],
    )
    const ended = await runToEnd(ground, both)
    assert.equal(ended.id, id)
    assert.deepEqual(
      ended.authorities.map(({ name }) => name),
      ['a'],
    )
    const { candidates } = expectDone(await delegationRequest(a.context))
    assert.deepEqual(
      candidates.map(({ name }) => name),
      ['a'],
    )
    assert.equal((await newestState(ground)).anchors.filter(({ state }) => state === 'active').length, 1)
  })

  test('is forgotten once it does not run, and what it has issued is refused with its anchors', async () => {
    const { authority } = a.trust
    const running = await authority.forget('b', operator)
    assert.ok('refused' in running && running.code === 'conflict')
    b.close()
    ground.advance(16_000)
    await a.turn()
    assert.equal((await newestState(ground)).anchors.length, 2)
    assert.deepEqual(expectDone(await authority.forget('b', operator)), { forgotten: 'b' })
    const state = await newestState(ground)
    assert.deepEqual([state.anchors.length, state.tokenKeys.length], [1, 1])
    assert.deepEqual(
      state.authorities.map(({ name }) => name),
      ['a'],
    )
    const again = await authority.forget('b', operator)
    assert.ok('refused' in again && again.code === 'resource_unknown')
    assert.ok(ground.record.some(({ kind, body }) => kind === 'admin' && body['change'] === 'authority.forget'))
  })
})

describe('new keys that are revoked meanwhile', () => {
  test('a rotation fails when its new keys are revoked on the way, instead of waiting for them', async () => {
    const { id } = await begin(a, { kind: 'rotate' })
    const ended = await runToEnd(ground, both, async () => {
      const made = (await ground.store.slots.list()).filter(({ ceremony }) => ceremony === id)
      if ((await newest(ground)).stage === 'publish')
        for (const { keyId } of made.filter(({ purpose }) => purpose === 'anchor'))
          await ground.store.slots.remove(keyId)
    })
    assert.deepEqual([ended.stage, ended.stages.at(-1)?.note], ['failed', 'the new keys are gone: they were revoked'])
    await assertSound(ground, both())
  })

  test('a rotation comes to its end when its new keys are revoked after they have signed and everybody has started again', async () => {
    const { id } = await begin(a, { kind: 'rotate' })
    let again = false
    const ended = await runToEnd(ground, both, async () => {
      await follow(ground, 'spiffe://test.example/agent/slow', { delegation: 1, sequence: 1 })
      if (again || (await newest(ground)).stage !== 'settle') return
      again = true
      for (const { keyId, ceremony } of await ground.store.slots.list()) if (ceremony === id) await denied(keyId)
      a = await ground.open('a')
      b = await ground.open('b')
    })
    assert.deepEqual([again, ended.stage], [true, 'done'])
    await assertSound(ground, both())
  })
})
