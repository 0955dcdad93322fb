/** What a trust state has against credentials that were good when they were shown. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { epochSeconds } from '@doorward/core'
import type { TrustState } from '@doorward/core'
import { personalWithdrawal, withdrawal } from '@doorward/enforcement'
import type { ShownCredentials } from '@doorward/enforcement'
import { certificateWithdrawal } from '../../../packages/enforcement/src/withdrawal.ts'
import { caller } from '../../contract/decision-requests.ts'
import { authority, denials, id, leaf, now, partial, viewOf } from './call-fixture.ts'

const principal = caller('a', ['reader'], { presenter: id })
const token = { id: 'token-id', keyId: 'token-1', epoch: 7 }
const anchor = authority.issuer.keyId

function shown(over: Partial<ShownCredentials> = {}): ShownCredentials {
  return { inbound: { connection: { certificate: leaf } }, principal, token, ...over }
}

const bare = shown({ token: null })
const enrolled = shown({ inbound: { connection: { certificate: null } } })

/** What is held by the whole, by what is personal, and against the certificate alone. */
function codes(change: Partial<TrustState>, credentials = shown()): readonly (string | null)[] {
  const view = viewOf(change)
  const [all, personal] = [withdrawal(credentials, view), personalWithdrawal(credentials, view)]
  for (const denial of [all, personal]) if (denial !== null) assert.equal(denial.caller, principal)
  const certificate = certificateWithdrawal(leaf, id.uri, view)
  if (certificate !== null) assert.deepEqual(certificate.caller, partial)
  return [all, personal, certificate].map((denial) => denial?.code ?? null)
}

const identity = (issuedBefore: number) =>
  denials({ identities: [{ id: id.uri, issuedBefore: epochSeconds(issuedBefore) }] })

test('nothing is held against who is registered, of this epoch and not denied', () => {
  const others = denials({
    identities: [{ id: 'spiffe://example.org/agent/other', issuedBefore: now }],
    serials: ['0a'],
    tokens: ['other'],
    authorities: ['token-2'],
  })
  for (const change of [{}, others])
    for (const credentials of [shown(), bare, enrolled])
      assert.deepEqual(codes(change, credentials), [null, null, null])
})

test('RV-4: a denied serial, identity or token ends what the caller has begun', () => {
  const serial = denials({ serials: [leaf.serial] })
  assert.deepEqual(codes(serial), ['certificate_denied', 'certificate_denied', 'certificate_denied'])
  assert.deepEqual(codes({ workloads: [] }), Array(3).fill('identity_unregistered'))
  const denied = denials({ tokens: [token.id] })
  assert.deepEqual(codes(denied), ['token_denied', 'token_denied', null])
  assert.deepEqual(codes(denied, enrolled), ['token_denied', 'token_denied', null])
  assert.deepEqual(codes(denied, bare), [null, null, null])
})

test('RV-5: an identity is denied with all that was issued before, backdating counted', () => {
  // The certificate says a minute before it was made.
  const made = leaf.notBefore + 60
  assert.deepEqual(codes(identity(made)), [null, null, null])
  assert.deepEqual(codes(identity(made + 1)), Array(3).fill('identity_denied'))
})

test('CA-2: a denied authority or token key ends calls, and is nothing personal', () => {
  const denied = denials({ authorities: [anchor] })
  assert.deepEqual(codes(denied), ['certificate_denied', null, 'certificate_denied'])
  const key = denials({ authorities: [token.keyId] })
  assert.deepEqual(codes(key), ['token_denied', null, null])
  assert.deepEqual(codes(key, enrolled), ['token_denied', null, null])
  assert.deepEqual(codes(key, bare), [null, null, null])
})

test('RV-6: what is of an earlier epoch is refused, and nothing personal', () => {
  const state = viewOf().state
  assert.deepEqual(codes({ epoch: 8 }), ['certificate_epoch', null, 'certificate_epoch'])
  const later = { epoch: 8, anchors: state.anchors.map((one) => ({ ...one, epoch: 8 })) }
  assert.deepEqual(codes(later), ['token_epoch', null, null])
  assert.deepEqual(codes(later, enrolled), ['token_epoch', null, null])
  assert.deepEqual(codes(later, bare), [null, null, null])
  assert.deepEqual(codes(later, shown({ token: { ...token, epoch: 8 } })), [null, null, null])
})

test('what is personal is said before what is not', () => {
  const both = { ...denials({ tokens: [token.id], authorities: [anchor, token.keyId] }), epoch: 8 }
  assert.equal(withdrawal(shown(), viewOf(both))?.code, 'token_denied')
  assert.equal(withdrawal(bare, viewOf(both))?.code, 'certificate_denied')
})

test('a certificate that names no authority is of no epoch, and of none that is denied', () => {
  const certificate = { ...leaf, authorityKeyId: null }
  const change = { ...denials({ authorities: ['null', ''] }), epoch: 8 }
  assert.equal(certificateWithdrawal(certificate, id.uri, viewOf(change)), null)
  const unknown = viewOf({ epoch: 8, anchors: [] })
  assert.equal(
    certificateWithdrawal(leaf, id.uri, unknown),
    null,
    'whether there is such an authority is judged before',
  )
})
