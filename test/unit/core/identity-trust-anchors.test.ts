import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import {
  fromBase64url,
  isDoorwardError,
  jwkThumbprint,
  openTrustAnchors,
  parseTrustMessage,
  readSignedTrustAnchors,
  signDelegation,
  signTrustAnchors,
  signTrustState,
  toBase64url,
  utf8,
} from '@doorward/core'
import type {
  Delegation,
  JsonValue,
  SignedDelegation,
  SignedTrustAnchors,
  TrustAnchors,
  TrustState,
} from '@doorward/core'
import { generateP256, importP256, sha256 } from '@doorward/sdk'
import type { P256KeyPair } from '@doorward/sdk'
import { after, makeAuthority, now, trustDomain } from './identity-fixture.ts'

let root: P256KeyPair
let stateKey: P256KeyPair
let delegation: SignedDelegation
let trust: TrustAnchors

before(async () => {
  root = await generateP256()
  stateKey = await generateP256()
  const authority = await makeAuthority()
  delegation = await delegate({})
  trust = {
    trustDomain,
    delegation: 1,
    sequence: 5,
    issuedAt: now,
    expiresAt: after(3600),
    epoch: 2,
    anchors: [
      {
        keyId: authority.issuer.keyId,
        state: 'active',
        certificate: authority.certificate.der,
        epoch: 2,
        reissue: false,
      },
    ],
  }
})

function delegate(change: Partial<Delegation>, signer = root): Promise<SignedDelegation> {
  const full = { trustDomain, version: 1, keys: [stateKey.jwk], issuedAt: now, expiresAt: after(2_592_000), ...change }
  return signDelegation(full, signer.signKey, signer.jwk)
}

function signed(change: Partial<TrustAnchors> = {}, by = stateKey, under = delegation): Promise<SignedTrustAnchors> {
  return signTrustAnchors({ ...trust, ...change }, under, { signKey: by.signKey, sha256 })
}

function open(message: SignedTrustAnchors, change: Partial<Parameters<typeof openTrustAnchors>[1]> = {}) {
  const rootFingerprint = jwkThumbprint(root.jwk, sha256)
  return openTrustAnchors(message, { rootFingerprint, trustDomain, now, importP256, sha256, ...change })
}

const codeOf = (result: object) => ('code' in result ? String(result.code) : 'accepted')

/** The same signature-making, over a document of the test's choice. */
async function over(document: object): Promise<SignedTrustAnchors> {
  const payload = utf8(JSON.stringify(document))
  const bytes = new Uint8Array([...utf8('doorward trust-anchors v1\n'), ...payload])
  const signature = toBase64url(await stateKey.signKey.sign(bytes))
  return { kind: 'trust-anchors', payload: toBase64url(payload), signature, delegation }
}

async function document(): Promise<Record<string, unknown>> {
  const payload = fromBase64url((await signed()).payload) ?? undefined
  return JSON.parse(new TextDecoder().decode(payload)) as Record<string, unknown>
}

test('a statement opens to what was signed', async () => {
  assert.deepEqual(open(await signed()), trust)
  assert.deepEqual(open(await over(await document())), trust)
})

test('a statement survives its JSON', async () => {
  const message = await signed()
  assert.deepEqual(readSignedTrustAnchors(JSON.parse(JSON.stringify(message)) as JsonValue), message)
})

test('a statement is no message of the trust-state stream, and no trust state is read as a statement', async () => {
  const state: TrustState = {
    ...trust,
    scope: 'full',
    authorities: [],
    tokenKeys: [],
    jwtSvidKeys: [],
    workloads: [],
    issued: [],
    denied: { identities: [], serials: [], tokens: [], authorities: [] },
  }
  const full = await signTrustState(state, delegation, { signKey: stateKey.signKey, sha256 })
  assert.equal(codeOf(parseTrustMessage(JSON.stringify(await signed()))), 'trust_message_malformed')
  assert.equal(readSignedTrustAnchors(JSON.parse(JSON.stringify(full)) as JsonValue), null)
  assert.equal(codeOf(open({ ...full, kind: 'trust-anchors' })), 'trust_anchors_signature')
})

test('only the pinned root, its delegation and the delegated key make a statement', async () => {
  const stranger = await generateP256()
  assert.equal(codeOf(open(await signed({}, stateKey, await delegate({}, stranger)))), 'delegation_root')
  for (const key of [stranger, root]) assert.equal(codeOf(open(await signed({}, key))), 'trust_anchors_signature')
  const ended = await delegate({ issuedAt: after(-100), expiresAt: now })
  assert.equal(codeOf(open(await signed({}, stateKey, ended))), 'delegation_expired')
  assert.equal(codeOf(open(await signed({ delegation: 2 }))), 'trust_anchors_delegation')
})

test('a statement of another trust domain, past its end or before its time is refused', async () => {
  assert.equal(codeOf(open(await signed(), { trustDomain: 'evil.example' })), 'delegation_trust_domain')
  assert.equal(codeOf(open(await signed(), { now: after(3599) })), 'accepted')
  assert.equal(codeOf(open(await signed(), { now: after(3600) })), 'trust_anchors_expired')
  assert.equal(codeOf(open(await signed({ issuedAt: after(60) }))), 'accepted')
  assert.equal(codeOf(open(await signed({ issuedAt: after(61) }))), 'trust_anchors_not_yet_valid')
})

test('a statement older than what was seen, by delegation, sequence or epoch, is refused', async () => {
  const rootFingerprint = jwkThumbprint(root.jwk, sha256)
  const digest = 'A'.repeat(43)
  const held = { delegation: 1, sequence: 5, epoch: 2, digest, delegationDigest: digest }
  const second = await delegate({ version: 2 })
  const under = (change: Partial<TrustAnchors>) => signed({ delegation: 2, ...change }, stateKey, second)
  const judge = async (message: SignedTrustAnchors, current: typeof held) =>
    codeOf(openTrustAnchors(message, { rootFingerprint, trustDomain, now, importP256, sha256, current }))
  assert.equal(await judge(await under({ sequence: 1 }), held), 'accepted')
  assert.equal(await judge(await under({ sequence: 1, epoch: 1 }), held), 'trust_anchors_rollback')
  assert.equal(await judge(await signed({ sequence: 4 }), held), 'trust_anchors_rollback')
  assert.equal(await judge(await signed(), { ...held, delegation: 2, sequence: 1 }), 'trust_anchors_rollback')
  assert.equal(await judge(await signed(), held), 'trust_anchors_equivocation')
})

test('a member too many, too few or of another type makes a statement malformed', async () => {
  const good = await document()
  const { epoch: _epoch, ...without } = good
  const bad = [
    { ...good, workloads: [] },
    without,
    { ...good, v: 2 },
    { ...good, sequence: '5' },
    { ...good, anchors: (good['anchors'] as object[]).map((anchor) => ({ ...anchor, epoch: undefined })) },
    { ...good, anchors: (good['anchors'] as object[]).map((anchor) => ({ ...anchor, reissue: 'no' })) },
    { ...good, anchors: [{ key_id: 'ab', state: 'active', certificate: 'AAAA', epoch: 2, reissue: false }] },
    { ...good, anchors: [...(good['anchors'] as object[]), ...(good['anchors'] as object[])] },
  ]
  for (const one of bad) assert.equal(codeOf(open(await over(one))), 'trust_anchors_malformed', JSON.stringify(one))
})

test('what no receiver would read is not signed', async () => {
  await assert.rejects(signed({ issuedAt: after(7200) }), (error) => isDoorwardError(error, 'trust_anchors_invalid'))
})
