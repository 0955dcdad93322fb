/** People who sign in: what the authority makes of an ID token, and everything that it makes nothing of. */

import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { generateP256 } from '@doorward/sdk'
import { RawClient } from '../fixtures/authority/raw-client.ts'
import { publicUrl, recordOf, removeFolders, startTestAuthority } from '../fixtures/authority/running.ts'
import type { TestAuthority } from '../fixtures/authority/running.ts'
import {
  audience,
  exchangeFor,
  postLogin,
  providerKey,
  providerSettings,
  providerUrl,
  secretTexts,
  signedIn,
  signIn,
} from '../fixtures/authority/sign-in.ts'
import type { ExchangeAttempt, SignInAttempt } from '../fixtures/authority/sign-in.ts'
import { call, joined, ownToken } from '../fixtures/authority/workload.ts'
import type { Workload } from '../fixtures/authority/workload.ts'
import { filesBelow } from '../fixtures/files-below.ts'
import { keySet, platformKey } from '../fixtures/platform-issuer.ts'
import type { Claims } from '../fixtures/platform-issuer.ts'

const alice = `${providerUrl}#alice`
let folder: string
let authority: TestAuthority
let bridge: Workload
let other: Workload
let operator: Workload

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'doorward-login-'))
  const jwks = join(folder, 'jwks.json')
  await writeFile(jwks, keySet(providerKey))
  authority = await startTestAuthority({
    settings: { issuers: [providerSettings(jwks, 'spiffe://test.example/bridge/*')] },
  })
  bridge = await joined(authority, 'spiffe://test.example/bridge/laptop')
  other = await joined(authority, 'spiffe://test.example/bridge/other')
  operator = await joined(authority, 'spiffe://test.example/doorward/operator/eve', ['admin'])
})
after(async () => {
  await authority.stop()
  await removeFolders(authority.folders)
  await rm(folder, { recursive: true, force: true })
})

const at = () => Math.floor(Date.now() / 1000)
const payloadOf = (token: string): Claims =>
  JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as Claims

/** Entries of the log, once a checkpoint covers the exchange for alice. */
async function recorded(): Promise<readonly Claims[]> {
  for (;;) {
    const entries = (await recordOf(authority.folders)).map(({ body }) => body as Claims)
    if (entries.some(({ phase, user }) => phase === 'token' && user === alice)) return entries
    await sleep(100)
  }
}

/** The code, and the reason where one is told. */
async function refusal(attempt: SignInAttempt, workload = bridge): Promise<string> {
  const { answer } = await signIn(authority, workload, attempt)
  if (answer.status === 200) return 'good'
  const { error } = answer.json() as { error: { details?: { reason: string } } }
  return [answer.headers['doorward-code'], error.details?.reason].filter(Boolean).join(' ')
}

async function codeOf(attempt: ExchangeAttempt, signed: Awaited<ReturnType<typeof signedIn>>, who = bridge) {
  const answer = await exchangeFor(authority, who, signed, attempt)
  return answer.status === 200 ? 'good' : `${answer.headers['doorward-code']} ${String(answer.json()['error'])}`
}

test('a person who signs in acts through the workload at which they did, by a token of five minutes', async () => {
  const groups = ['dev', 'ops']
  const signed = await signedIn(authority, bridge, { groups, amr: ['otp'], auth_time: at() - 5 })
  const identity = payloadOf(signed.identity)
  assert.deepEqual([identity['sub'], identity['aud'], identity['client_id']], [alice, publicUrl, bridge.id])
  const answer = await exchangeFor(authority, bridge, signed)
  assert.equal(answer.status, 200, answer.text)
  const told = answer.json()
  assert.equal(told['issued_token_type'], 'urn:ietf:params:oauth:token-type:access_token')
  const token = payloadOf(String(told['access_token']))
  assert.deepEqual([token['sub'], token['aud'], token['client_id']], [alice, audience, bridge.id])
  assert.deepEqual(token['act'], { sub: bridge.id })
  assert.deepEqual(token['urn:doorward:user'], { issuer: providerUrl, subject: 'alice', groups })
  assert.deepEqual(token['cnf'], { 'x5t#S256': bridge.read.fingerprint })
  assert.ok(Number(token['exp']) - Number(token['iat']) <= 300)
  const entries = await recorded()
  const login = entries.find(({ phase }) => phase === 'user')
  assert.deepEqual([login?.['user'], login?.['id'], login?.['groups'], login?.['amr']], [alice, bridge.id, 2, ['otp']])
  const exchanged = entries.find(({ phase, user }) => phase === 'token' && user === alice)
  assert.deepEqual([exchanged?.['id'], exchanged?.['identity']], [bridge.id, identity['jti']])
})

test('an ID token that is not by the provider, for us, of now and for this key signs nobody in', async () => {
  const stranger = await generateP256()
  const cases: readonly [string, SignInAttempt][] = [
    ['good', {}],
    ['login_refused token_signature', { provider: platformKey('ES256', 'provider-1') }],
    ['login_refused token_key_unknown', { provider: platformKey('ES256', 'provider-2') }],
    ['login_refused token_algorithm', { provider: platformKey('RS256', 'provider-1') }],
    ['login_refused token_type', { header: { typ: 'at+jwt' } }],
    ['login_refused token_issuer', { claims: { iss: 'https://login.other.example' } }],
    ['login_refused token_audience', { claims: { aud: 'another-client' } }],
    ['login_refused token_audience', { claims: { aud: ['doorward-cli', 'another-client'] } }],
    ['login_refused token_audience', { claims: { azp: 'another-client' } }],
    ['login_refused token_claims', { claims: { tid: 'other' } }],
    ['login_refused token_claims', { claims: { sub: undefined } }],
    ['login_refused token_expired', { claims: { iat: at() - 700, exp: at() - 100 } }],
    ['login_refused token_expired', { claims: { iat: at() - 400, exp: at() + 600 } }],
    ['login_refused token_not_yet_valid', { claims: { iat: at() + 100, exp: at() + 600 } }],
    ['login_refused token_binding', { claims: { nonce: 'A'.repeat(43) } }],
    ['login_refused token_binding', { claims: { nonce: undefined } }],
    ['login_refused token_binding', { nonceKey: stranger }],
    [
      'login_refused user_too_large',
      { claims: { groups: Array.from({ length: 20 }, (_, i) => `${i}`.padEnd(120, 'g')) } },
    ],
    ['proof_invalid', { proof: { certificateFingerprint: other.read.fingerprint } }],
    ['proof_invalid', { proof: { audience: 'https://other.example' } }],
    ['proof_invalid', { proof: { token: 'a.b.c' } }],
    ['proof_invalid', { proof: { use: 'exchange' } }],
    ['proof_invalid', { proof: { issuedAt: (at() - 90) as never } }],
    ['proof_invalid', { proof: { issuedAt: (at() + 90) as never } }],
  ]
  for (const [code, attempt] of cases)
    assert.equal(await refusal(attempt), code, JSON.stringify(attempt.claims ?? code))
})

test('a stolen ID token signs nobody in at another key or another workload', async () => {
  const { body } = await signIn(authority, bridge)
  const thief = await signIn(authority, other, {})
  const stolen = { ...(body as Claims), proof: (thief.body as Claims)['proof'] }
  assert.equal((await postLogin(authority, other, body)).headers['doorward-code'], 'proof_invalid')
  assert.equal((await postLogin(authority, other, stolen)).headers['doorward-code'], 'proof_invalid')
})

test('a provider that leaves the nonce out is believed where device codes are allowed, once and by the first key', async () => {
  const jwks = join(folder, 'jwks.json')
  const devices = await startTestAuthority({ settings: { issuers: [providerSettings(jwks, undefined, true)] } })
  try {
    const laptop = await joined(devices, 'spiffe://test.example/bridge/laptop')
    const thief = await joined(devices, 'spiffe://test.example/bridge/thief')
    const first = await signIn(devices, laptop, { claims: { nonce: undefined } })
    assert.equal(first.answer.status, 200, first.answer.text)
    const idToken = String((first.body as Claims)['id_token'])
    assert.equal((await signIn(devices, thief, { idToken })).answer.headers['doorward-code'], 'login_refused')
    assert.equal((await postLogin(devices, laptop, first.body)).status, 200)
    const wrong = await signIn(devices, laptop, { claims: { nonce: 'A'.repeat(43) } })
    assert.equal(wrong.answer.headers['doorward-code'], 'login_refused')
  } finally {
    await devices.stop()
    await removeFolders(devices.folders)
  }
})

test('while its provider is out of reach nobody signs in, and whoever has signed in goes on', async () => {
  const { keys: _keys, ...settings } = providerSettings('')
  const access = { caFile: null, allowPrivateAddresses: true }
  const keys = { kind: 'fetched', jwksUrl: 'https://localhost:1/jwks' } as const
  const signed = await signedIn(authority, bridge, { sub: 'dora' })
  const away = await startTestAuthority({ settings: { issuers: [{ ...settings, access, keys }] } })
  try {
    const laptop = await joined(away, 'spiffe://test.example/bridge/laptop')
    const { answer } = await signIn(away, laptop)
    assert.deepEqual([answer.status, answer.headers['doorward-code']], [503, 'issuer_unavailable'])
  } finally {
    await away.stop()
    await removeFolders(away.folders)
  }
  assert.equal(await codeOf({}, signed), 'good')
})

test('a workload that may not act for people does not, whoever signs in at it', async () => {
  const agent = await joined(authority, 'spiffe://test.example/agent/planner')
  assert.equal(await refusal({}, agent), 'login_refused workload_excluded')
})

test('an identity is good for its workload, its key, its connection and one audience, and nothing else', async () => {
  const signed = await signedIn(authority, bridge)
  const stranger = await generateP256()
  const cases: readonly [string, ExchangeAttempt][] = [
    ['good', {}],
    ['proof_invalid invalid_request', { proofKey: stranger }],
    ['proof_invalid invalid_request', { proof: { audience: 'https://other.example' } }],
    ['proof_invalid invalid_request', { proof: { certificateFingerprint: other.read.fingerprint } }],
    ['proof_invalid invalid_request', { proof: { use: 'login' } }],
    ['proof_invalid invalid_request', { proof: { issuedAt: (at() - 90) as never } }],
    ['audience_unknown invalid_target', { resource: publicUrl }],
    ['audience_unknown invalid_target', { resource: 'https://elsewhere.example' }],
    ['request_invalid invalid_request', { form: { actor_token: 'x' } }],
    ['request_invalid invalid_request', { form: { subject_token_type: 'urn:ietf:params:oauth:token-type:id_token' } }],
    ['request_invalid invalid_request', { form: { login_proof: '{}' } }],
    ['scope_unknown invalid_scope', { form: { scope: 'everything' } }],
    ['scope_unknown invalid_scope', { form: { scope: 'read  write' } }],
    ['request_invalid invalid_request', { form: { may_act: 'worker' } }],
  ]
  for (const [code, attempt] of cases)
    assert.equal(await codeOf(attempt, signed), code, JSON.stringify(attempt.form ?? code))
  assert.equal(await codeOf({}, signed, other), 'grant_refused invalid_grant')
})

test('kinds do not mix: neither identity, access token nor ID token passes for another', async () => {
  const signed = await signedIn(authority, bridge)
  const answer = await exchangeFor(authority, bridge, signed)
  const delegated = String(answer.json()['access_token'])
  const { body } = await signIn(authority, bridge)
  for (const wrong of [delegated, await ownToken(authority, bridge), String((body as Claims)['id_token'])])
    assert.equal(
      await codeOf({ proof: { token: wrong }, form: { subject_token: wrong } }, signed),
      'grant_refused invalid_grant',
    )
  const client = await RawClient.open(authority.running.addresses.main, bridge)
  for (const [token, code] of [
    [signed.identity, 'token_type'],
    [delegated, 'token_audience'],
  ] as const)
    assert.equal((await call(client, token, 'GET /v1/trust-state')).headers['doorward-code'], code)
  client.close()
})

test('a person whose sign-ins are revoked has none, at the authority at once, and may sign in again', async () => {
  const signed = await signedIn(authority, bridge)
  const bob = await signedIn(authority, bridge, { sub: 'bob' })
  assert.equal(await codeOf({}, signed), 'good')
  const admin = await RawClient.open(authority.running.addresses.admin, operator)
  const token = await ownToken(authority, operator)
  const revoked = await call(admin, token, 'POST /v1/revocations', {
    subject: 'user',
    user: alice,
    reason: 'laptop stolen',
  })
  assert.equal(revoked.status, 201, revoked.text)
  for (const user of ['alice', `${alice}\n`, 'spiffe://test.example/bridge/laptop'])
    assert.equal((await call(admin, token, 'POST /v1/revocations', { subject: 'user', user })).status, 400)
  admin.close()
  assert.equal(await codeOf({}, signed), 'identity_denied invalid_client')
  assert.equal(await codeOf({}, bob), 'good')
  await sleep(2000)
  assert.equal(await codeOf({}, await signedIn(authority, bridge)), 'good')
  assert.equal(await codeOf({}, signed), 'identity_denied invalid_client')
})

test('a sign-in ends within the hour, and showing the same ID token again does not prolong it', async () => {
  const { answer, body } = await signIn(authority, bridge, {
    claims: { sub: 'carol', iat: at() - 200, exp: at() + 7000 },
  })
  const { expires_at: first } = answer.json()
  assert.ok(Number(first) <= at() + 3600 - 195)
  const { answer: unlimited } = await signIn(authority, bridge, { claims: { exp: at() + 70_000 } })
  assert.ok(Number(unlimited.json()['expires_at']) <= at() + 3600)
  const again = await postLogin(authority, bridge, body)
  assert.equal(again.json()['expires_at'], first)
})

test('no token of a sign-in stands in the record, the store or what was reported', async () => {
  // Payload and signature: a header alone says nothing.
  const parts = secretTexts.flatMap((text) => text.split('.').slice(1))
  assert.ok(parts.length > 50)
  const files = await filesBelow(authority.folders.root)
  const told = [Buffer.from(JSON.stringify(authority.events)), ...files.map(({ bytes }) => bytes)]
  assert.ok(told.some((bytes) => bytes.includes(alice)))
  for (const part of parts)
    assert.ok(
      told.every((bytes) => !bytes.includes(part)),
      part.slice(0, 20),
    )
})
