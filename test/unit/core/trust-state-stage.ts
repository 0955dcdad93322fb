/** One authority's signed trust states, with everything that may be wrong with them. Made before the first test. */

import assert from 'node:assert/strict'
import { sign } from 'node:crypto'
import { before } from 'node:test'
import {
  fromBase64url,
  jwkThumbprint,
  openTrustState,
  signDelegation,
  signTrustState,
  toBase64url,
  utf8,
} from '@doorward/core'
import type { Delegation, OpenedTrustState, SignedDelegation, SignedTrustState, TrustState } from '@doorward/core'
import { generateP256, importP256, sha256 } from '@doorward/sdk'
import type { P256KeyPair } from '@doorward/sdk'
import { after, issue, makeAuthority, now, trustDomain } from './identity-fixture.ts'
import type { Authority } from './identity-fixture.ts'

export let root: P256KeyPair
export let stateKey: P256KeyPair
export let tokenKey: P256KeyPair
export let authority: Authority
export let delegation: SignedDelegation
export let state: TrustState

before(async () => {
  root = await generateP256()
  stateKey = await generateP256()
  tokenKey = await generateP256()
  authority = await makeAuthority()
  delegation = await delegate({})
  const leaf = await issue(authority)
  state = {
    scope: 'full',
    trustDomain,
    delegation: 1,
    sequence: 5,
    issuedAt: now,
    expiresAt: after(3600),
    epoch: 2,
    authorities: [
      { name: 'main', main: '127.0.0.1:8446', enrol: '127.0.0.1:8448' },
      { name: 'second', main: '[::1]:8446', enrol: 'authority.example.org:8448' },
    ],
    anchors: [
      {
        keyId: authority.issuer.keyId,
        state: 'active',
        certificate: authority.certificate.der,
        epoch: 2,
        reissue: false,
      },
    ],
    tokenKeys: [{ kid: 't1', state: 'active', jwk: tokenKey.jwk }],
    jwtSvidKeys: [],
    workloads: [{ id: 'spiffe://example.org/agent/planner', roles: ['researcher'] }],
    issued: [{ fingerprint: leaf.fingerprint, id: 'spiffe://example.org/agent/planner', notAfter: leaf.notAfter }],
    denied: {
      identities: [{ id: 'spiffe://example.org/agent/thief', issuedBefore: now }],
      serials: ['0abc'],
      tokens: ['jti-1'],
      authorities: ['t0'],
    },
  }
})

export function delegate(change: Partial<Delegation>, signer = root): Promise<SignedDelegation> {
  const full = { trustDomain, version: 1, keys: [stateKey.jwk], issuedAt: now, expiresAt: after(2_592_000), ...change }
  return signDelegation(full, signer.signKey, signer.jwk)
}

export function signed(change: Partial<TrustState> = {}, by = stateKey, under = delegation): Promise<SignedTrustState> {
  return signTrustState({ ...state, ...change }, under, { signKey: by.signKey, sha256 })
}

export function open(message: SignedTrustState, change: Partial<Parameters<typeof openTrustState>[1]> = {}) {
  const rootFingerprint = jwkThumbprint(root.jwk, sha256)
  return openTrustState(message, { rootFingerprint, trustDomain, scope: 'full', now, importP256, sha256, ...change })
}

export function opened(message: SignedTrustState): OpenedTrustState {
  const result = open(message)
  assert.ok(!('code' in result), 'code' in result ? result.code : '')
  return result
}

export function codeOf(result: object): string {
  return 'code' in result ? String(result.code) : 'accepted'
}

/** A message over other payload bytes, signed for the kind. */
export function resigned(payload: Uint8Array | string, prefix = 'doorward trust-state v1\n'): SignedTrustState {
  const bytes = typeof payload === 'string' ? utf8(payload) : payload
  const signature = sign('sha256', Buffer.concat([utf8(prefix), bytes]), {
    key: stateKey.privateKey,
    dsaEncoding: 'ieee-p1363',
  })
  return {
    kind: 'trust-state',
    payload: toBase64url(bytes),
    signature: toBase64url(new Uint8Array(signature)),
    delegation,
  }
}

export const payloadText = (message: SignedTrustState) =>
  new TextDecoder().decode(fromBase64url(message.payload) ?? undefined)
