/** The delegation of the state held is not verified again: what may differ from it, and what time changes, is. */

import assert from 'node:assert/strict'
import { beforeEach, test } from 'node:test'
import { parseTrustDomain } from '@doorward/core'
import type { OpenedTrustState, SignedDelegation } from '@doorward/core'
import { generateP256 } from '@doorward/sdk'
import { countedKeys } from '../../fixtures/counted-keys.ts'
import { after, now } from './identity-fixture.ts'
import { codeOf, delegate, delegation, open, opened, root, signed, stateKey } from './trust-state-stage.ts'

let current: OpenedTrustState
beforeEach(async () => {
  current = opened(await signed())
})

test('under the same delegation nothing is imported, and only the signature of the state is verified', async () => {
  const { verifiedDelegation } = current
  const message = await signed({ sequence: 6 }, stateKey, structuredClone(delegation))
  const counts = countedKeys()
  const next = open(message, { current, verifiedDelegation, importP256: counts.importP256 })
  assert.ok(!('code' in next) && next.order === 'newer')
  assert.equal(counts.imports, 0)
  assert.equal(next.verifiedDelegation, verifiedDelegation)
  const forged = { ...message, signature: (await signed({ sequence: 7 })).signature }
  assert.equal(codeOf(open(forged, { current, verifiedDelegation })), 'trust_state_signature')
  assert.equal(
    codeOf(open(await signed({ sequence: 6 }, root), { current, verifiedDelegation })),
    'trust_state_signature',
  )
})

test('a delegation that differs in any part is verified', async () => {
  const { verifiedDelegation } = current
  const stranger = await generateP256()
  const foreign = await delegate({ version: 2, keys: [stranger.jwk] }, stranger)
  const ours = await delegate({ version: 2, keys: [stranger.jwk] })
  const cases: readonly (readonly [SignedDelegation, string])[] = [
    [{ ...delegation, payload: foreign.payload }, 'delegation_signature'],
    [{ ...delegation, signature: foreign.signature }, 'delegation_signature'],
    [{ ...delegation, root: stranger.jwk }, 'delegation_root'],
    [{ ...foreign, root: root.jwk }, 'delegation_signature'],
    [foreign, 'delegation_root'],
    [ours, 'accepted'],
  ]
  for (const [under, code] of cases) {
    const message = await signed({ delegation: 2, sequence: 1 }, stranger, under)
    assert.equal(codeOf(open(message, { current, verifiedDelegation })), code)
  }
})

test('a delegation that was verified before is refused once it has ended, before it begins, and by who pins another root or domain', async () => {
  const { verifiedDelegation } = current
  const brief = await delegate({ expiresAt: after(100) })
  const held = opened(await signed({}, stateKey, brief))
  const message = await signed({ sequence: 6 }, stateKey, brief)
  const check = { current: held, verifiedDelegation: held.verifiedDelegation }
  assert.equal(codeOf(open(message, { ...check, now: after(99) })), 'accepted')
  assert.equal(codeOf(open(message, { ...check, now: after(100) })), 'delegation_expired')
  assert.equal(codeOf(open(message, { ...check, now: after(-61) })), 'delegation_not_yet_valid')
  const other = { verifiedDelegation, now }
  assert.equal(codeOf(open(await signed(), { ...other, rootFingerprint: 'other' })), 'delegation_root')
  const trustDomain = parseTrustDomain('other.example')
  assert.equal(codeOf(open(await signed(), { ...other, trustDomain })), 'delegation_trust_domain')
})
