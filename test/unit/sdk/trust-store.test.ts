/** What a trust store verifies again when a state follows another, and what a judge of servers does by it. */

import assert from 'node:assert/strict'
import { beforeEach, test } from 'node:test'
import { epochMillis, epochSeconds, jwkThumbprint, signDelegation, signTrustState, workloadId } from '@doorward/core'
import type { Delegation, EpochMillis, TrustState } from '@doorward/core'
import { TrustHolder } from '@doorward/enforcement'
import { generateP256, sha256, systemClock, systemRuntime } from '@doorward/sdk'
import type { P256KeyPair } from '@doorward/sdk'
import { serverJudge } from '../../../packages/sdk/src/server-judge.ts'
import { TrustMemory } from '../../../packages/sdk/src/trust-memory.ts'
import { TrustStore } from '../../../packages/sdk/src/trust-store.ts'
import { countedKeys } from '../../fixtures/counted-keys.ts'
import type { CountedKeys } from '../../fixtures/counted-keys.ts'
import { newAnchor, newLeaf, now, trustAnchorOf, TrustFixture } from '../../fixtures/trust-fixture.ts'

const fixture = await TrustFixture.create()
const { trustDomain } = fixture
const [root, stateKey] = [await generateP256(), await generateP256()]
const expected = fixture.id('doorward', 'gateway', 'main')
const server = await newLeaf(fixture.anchor, expected)
fixture.mirror(server)

interface Sending {
  readonly by?: P256KeyPair
  readonly delegation?: Partial<Delegation>
}

let keys: CountedKeys
let judging: CountedKeys
let memory: TrustMemory
let holder: TrustHolder
let store: TrustStore
let offset: number
let sequence = 10

beforeEach(() => {
  keys = countedKeys()
  judging = countedKeys()
  offset = 0
  holder = new TrustHolder({ sha256, importP256: keys.importP256, monotonic: () => performance.now(), wall })
  memory = TrustMemory.ofOne(keys.importP256)
  store = storeOf(holder)
})

function storeOf(into: TrustHolder, rootFingerprint = jwkThumbprint(root.jwk, sha256)): TrustStore {
  return new TrustStore({
    description: { trustDomain, rootFingerprint, scope: 'full' },
    folder: { readTrust: async () => null, writeTrust: async () => undefined },
    holder: into,
    runtime: { ...systemRuntime, wall },
    memory,
  })
}

function wall(): EpochMillis {
  return epochMillis(systemClock() + offset)
}

const base: Delegation = {
  trustDomain,
  version: 1,
  keys: [stateKey.jwk],
  issuedAt: epochSeconds(now() - 60),
  expiresAt: epochSeconds(now() + 86_400),
}
const delegated = signDelegation(base, root.signKey, root.jwk)

/** Accepts the next state; the code of a refusal, else `accepted`. */
async function accept(change: Partial<TrustState> = {}, { by = stateKey, delegation }: Sending = {}): Promise<string> {
  const under =
    delegation === undefined
      ? await delegated
      : await signDelegation({ ...base, ...delegation }, root.signKey, root.jwk)
  const state = { ...fixture.state(), sequence: ++sequence, delegation: delegation?.version ?? 1, ...change }
  const message = await signTrustState(state, under, { signKey: by.signKey, sha256 })
  const answer = await store.accept(message)
  return 'code' in answer ? answer.code : 'accepted'
}

function judge() {
  const authorityId = workloadId(trustDomain, 'doorward', 'authority')
  const runtime = { ...systemRuntime, wall }
  const memory = TrustMemory.ofOne(judging.importP256)
  const one = serverJudge({ store, holder, authorityId, runtime, refresh: async () => undefined, memory })
  const target = { host: '127.0.0.1', port: 1, expected }
  return async () => (await one(server.certificate, target, 'connecting'))?.code ?? 'taken'
}

test('the second of two states costs one verification and no import, and has the anchors of the first', async () => {
  assert.equal(await accept(), 'accepted')
  // Root, trust-state key, token key; delegation, state.
  assert.deepEqual([keys.imports, keys.verifications], [3, 2])
  const anchors = store.view()?.anchors
  for (let round = 1; round <= 3; round++) {
    assert.equal(await accept(), 'accepted')
    assert.deepEqual([keys.imports, keys.verifications], [3, 2 + round])
    assert.equal(store.view()?.anchors, anchors)
    assert.equal(store.view()?.state.sequence, sequence)
    assert.equal(holder.current()?.state, store.view()?.state)
  }
})

test('a state that is not signed by the delegated key is refused, however well its delegation is known', async () => {
  assert.equal(await accept(), 'accepted')
  assert.equal(await accept({}, { by: root }), 'trust_state_signature')
  assert.equal(store.view()?.state.sequence, sequence - 1)
})

test('the state held, heard again, is verified again and changes nothing', async () => {
  const state = { ...fixture.state(), sequence: ++sequence }
  const message = await signTrustState(state, await delegated, { signKey: stateKey.signKey, sha256 })
  await store.accept(message)
  const view = store.view()
  const forged = { ...message, signature: (await delegated).signature }
  assert.equal(((await store.accept(forged)) as { code: string }).code, 'trust_state_signature')
  assert.equal(((await store.accept(message)) as { order: string }).order, 'same')
  assert.deepEqual([keys.verifications, store.view()], [4, view])
})

test('a new delegation is verified; a key that it keeps is not imported again', async () => {
  await accept()
  const other = await generateP256()
  const change = { version: 2, keys: [stateKey.jwk, other.jwk] }
  assert.equal(await accept({ sequence: 1 }, { delegation: change, by: other }), 'accepted')
  // The other key; delegation, state by both keys.
  assert.deepEqual([keys.imports, keys.verifications], [4, 5])
})

test('a delegation that has ended meanwhile is refused, although it was verified before', async () => {
  assert.equal(await accept(), 'accepted')
  offset = 86_400_000 + 1000
  const later = { issuedAt: epochSeconds(now() + 86_400), expiresAt: epochSeconds(now() + 90_000) }
  assert.equal(await accept(later), 'delegation_expired')
})

test('a server is verified once for each list of anchors, whatever states follow', async () => {
  const taken = judge()
  await accept()
  assert.equal(await taken(), 'taken')
  // The anchor's own signature, the server's.
  assert.deepEqual([judging.imports, judging.verifications], [1, 2])
  for (let round = 0; round < 3; round++) {
    assert.equal(await accept(), 'accepted')
    assert.equal(await taken(), 'taken')
  }
  assert.deepEqual([judging.imports, judging.verifications], [1, 2])
  const anchors = [...fixture.state().anchors, trustAnchorOf(await newAnchor(trustDomain))]
  await accept({ anchors })
  assert.equal(await taken(), 'taken')
  assert.deepEqual([judging.imports, judging.verifications], [1, 3])
})

test('a server that was taken is refused by the next state that is against it, and taken again by one that is not', async () => {
  const taken = judge()
  const other = trustAnchorOf(await newAnchor(trustDomain))
  const { denied, anchors } = fixture.state()
  const cases: readonly (readonly [Partial<TrustState>, string])[] = [
    [{ anchors: [other] }, 'server_untrusted'],
    [{ anchors: [] }, 'server_untrusted'],
    [{ issued: [] }, 'server_not_issued'],
    [{ denied: { ...denied, serials: [server.certificate.serial] } }, 'server_revoked'],
    [{ denied: { ...denied, authorities: [fixture.anchor.keyId] } }, 'server_revoked'],
    [
      { denied: { ...denied, identities: [{ id: expected.uri, issuedBefore: epochSeconds(now() + 1) }] } },
      'server_revoked',
    ],
  ]
  for (const [change, code] of cases) {
    await accept()
    assert.equal(await taken(), 'taken')
    assert.equal(await accept(change), 'accepted')
    assert.equal(await taken(), code)
  }
  await accept({ epoch: 2, anchors: anchors.map((anchor) => ({ ...anchor, epoch: 1 })) })
  assert.equal(await taken(), 'server_revoked')
})

test('a server that was taken is refused once its certificate has ended', async () => {
  const taken = judge()
  await accept({ expiresAt: epochSeconds(now() + 40_000) })
  assert.equal(await taken(), 'taken')
  offset = (server.certificate.notAfter - now() + 1) * 1000
  assert.equal(await taken(), 'server_expired')
  offset = 0
  assert.equal(await taken(), 'taken')
})

test('what one identity has verified, the next of this process need not, and judges all the same', async () => {
  memory = TrustMemory.ofMany(keys.importP256)
  store = storeOf(holder)
  assert.equal(await accept(), 'accepted')
  const state = { ...fixture.state(), sequence: ++sequence }
  const message = await signTrustState(state, await delegated, { signKey: stateKey.signKey, sha256 })
  await store.accept(message)
  const counts = [keys.imports, keys.verifications]
  const other = new TrustHolder({ sha256, importP256: keys.importP256, monotonic: () => performance.now(), wall })
  const second = storeOf(other)
  assert.ok('order' in (await second.accept(message)))
  assert.equal(second.view()?.state, store.view()?.state)
  assert.equal(second.view()?.anchors, store.view()?.anchors)
  assert.equal(other.current()?.issued, holder.current()?.issued)
  assert.deepEqual([keys.imports, keys.verifications], counts)

  const forged = { ...message, signature: (await delegated).signature }
  assert.equal(((await second.accept(forged)) as { code: string }).code, 'trust_state_signature')
  const foreign = storeOf(other, jwkThumbprint(stateKey.jwk, sha256))
  assert.equal(((await foreign.accept(message)) as { code: string }).code, 'delegation_root')
  offset = (state.expiresAt - now() + 1) * 1000
  assert.match(((await storeOf(other).accept(message)) as { code: string }).code, /_expired$/)
})
