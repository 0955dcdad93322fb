/** What one view of trust takes over from the one before, and what it does not. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isDoorwardError } from '@doorward/core'
import type { TrustState } from '@doorward/core'
import { TrustHolder, trustViewOf } from '@doorward/enforcement'
import { generateP256, importP256, sha256, systemClock } from '@doorward/sdk'
import { countedKeys } from '../../fixtures/counted-keys.ts'
import { newAnchor, now, trustAnchorOf, TrustFixture } from '../../fixtures/trust-fixture.ts'

const fixture = await TrustFixture.create()
const anchors = [trustAnchorOf(fixture.anchor), trustAnchorOf(await newAnchor(fixture.trustDomain))]
const state: TrustState = { ...fixture.state(), anchors }
const platform = { sha256, importP256 }
const first = trustViewOf(state, 1, platform)

/** The state as it arrives again: equal, and nothing of it the same value. */
function again(change: Partial<TrustState> = {}): TrustState {
  return { ...structuredClone(state), ...change }
}

test('anchors of the same bytes are read once, and their list stays the same one', () => {
  let hashes = 0
  const counting = { ...platform, sha256: (data: Uint8Array) => (hashes++, sha256(data)) }
  const next = trustViewOf(again({ sequence: 9 }), 2, { ...counting, previous: first })
  assert.equal(next.anchors, first.anchors)
  assert.equal(hashes, 0)
  assert.equal(next.state.sequence, 9)
})

test('a new anchor is read, one that left is gone, one under the key id of another is the new one', async () => {
  const third = trustAnchorOf(await newAnchor(fixture.trustDomain))
  const view = (list: TrustState['anchors']) =>
    trustViewOf(again({ anchors: list }), 2, { ...platform, previous: first })
  const ders = (list: TrustState['anchors']) => view(list).anchors.map(({ der }) => [...der])
  for (const list of [[anchors[0]!, third], [anchors[1]!], [...anchors].reverse(), [...anchors, third], []]) {
    assert.deepEqual(
      ders(list),
      list.map(({ certificate }) => [...certificate]),
    )
    assert.notEqual(view(list).anchors, first.anchors)
  }
  const swapped = [{ ...anchors[0]!, certificate: third.certificate }, anchors[1]!]
  assert.deepEqual(ders(swapped)[0], [...third.certificate])
  const broken = [{ ...anchors[0]!, certificate: anchors[0]!.certificate.slice(1) }]
  assert.throws(
    () => view(broken),
    (error) => isDoorwardError(error, 'trust_state_anchor'),
  )
})

test('denials, epoch and issued certificates are those of the new state', () => {
  const denied = {
    identities: [{ id: 'spiffe://test.example/a', issuedBefore: now() }],
    serials: ['0a'],
    tokens: ['t'],
  }
  const next = trustViewOf(
    again({
      epoch: 2,
      anchors: anchors.map((anchor) => ({ ...anchor, epoch: 2 })),
      denied: { ...denied, authorities: ['token-1', 'x'] },
      issued: [{ fingerprint: 'f', id: 'spiffe://test.example/a', notAfter: now() }],
    }),
    2,
    { ...platform, previous: first },
  )
  assert.equal(next.anchors, first.anchors)
  assert.deepEqual([...next.anchorEpochs.values()], [2, 2])
  assert.deepEqual([next.deniedIdentities.size, next.deniedSerials.size, next.deniedTokens.size], [1, 1, 1])
  assert.ok(next.deniedAuthorities.has('x') && next.issued.has('f'))
  assert.ok(first.tokenKeys.has('token-1') && !next.tokenKeys.has('token-1'))
})

test('a view of the very same state is taken over whole, under its own generation', () => {
  const view = trustViewOf(state, 7, { ...platform, previous: first })
  assert.deepEqual(view, { ...first, generation: 7, keyGeneration: 7 })
  assert.equal(view.tokenKeys, first.tokenKeys)
})

test('a holder imports each token key once; one that is denied or new to the state is not taken from before', async () => {
  const counted = countedKeys()
  const holder = new TrustHolder({ ...platform, importP256: counted.importP256, monotonic: () => 0, wall: systemClock })
  const other = { kid: 'token-2', state: 'active', jwk: (await generateP256()).jwk } as const
  const apply = (sequence: number, change: Partial<TrustState>) => {
    holder.apply(again({ sequence: 10 + sequence, ...change }), now())
    return [counted.imports, ...(holder.current()?.tokenKeys.keys() ?? [])]
  }
  const tokenKeys = [...state.tokenKeys, other]
  assert.deepEqual(apply(1, {}), [1, 'token-1'])
  assert.deepEqual(apply(2, {}), [1, 'token-1'])
  assert.deepEqual(apply(3, { tokenKeys }), [2, 'token-1', 'token-2'])
  assert.deepEqual(apply(4, { tokenKeys, denied: { ...state.denied, authorities: ['token-2'] } }), [2, 'token-1'])
  // Another key under the name of one that is known.
  const key = holder.current()?.tokenKeys.get('token-1')
  assert.deepEqual(apply(5, { tokenKeys: [{ ...other, kid: 'token-1' }] }), [2, 'token-1'])
  assert.notEqual(holder.current()?.tokenKeys.get('token-1'), key)
  const none = [{ ...other, jwk: { ...other.jwk, y: other.jwk.x } }]
  assert.throws(
    () => apply(6, { tokenKeys: none }),
    (error) => isDoorwardError(error, 'token_key_invalid'),
  )
})
