/** What a program behind a sidecar believes: the right assertion once, and each other one, with one thing wrong, not at all. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  epochMillis,
  epochSeconds,
  mintAssertion,
  mintJwtSvid,
  parseSpiffeId,
  toBase64url,
  utf8,
  verifyAssertion,
} from '@doorward/core'
import type { PrincipalAssertionClaims } from '@doorward/core'
import { generateP256, jwkThumbprint, openAssertionVerifier, sha256 } from '@doorward/sdk'
import { Assertions } from '../../../packages/server/src/apps/sidecar/assertions.ts'

const issuer = parseSpiffeId('spiffe://test.example/service/orders')
const agent = parseSpiffeId('spiffe://test.example/agent/planner')
const helper = parseSpiffeId('spiffe://test.example/agent/helper')
const start = 1_800_000_000
const key = await generateP256()
const other = await generateP256()
const signer = { kid: jwkThumbprint(key.jwk), signKey: key.signKey }
const jwks = (...keys: readonly (typeof key)[]) =>
  JSON.stringify({ keys: keys.map(({ jwk }) => ({ ...jwk, kid: jwkThumbprint(jwk), alg: 'ES256', use: 'sig' })) })
const request = { method: 'POST', target: '/orders?x=1', body: utf8('one') }

let count = 0
const claimsOf = (more: Partial<PrincipalAssertionClaims> = {}): PrincipalAssertionClaims => ({
  iss: issuer.uri,
  aud: 'orders',
  sub: agent.uri,
  client_id: agent.uri,
  iat: epochSeconds(start),
  exp: epochSeconds(start + 60),
  jti: `id-${count++}`,
  decision: 'test.example/workload/service/orders#1',
  method: request.method,
  target: request.target,
  body_sha256: toBase64url(sha256(request.body)),
  ...more,
})

const at = (seconds: number) =>
  openAssertionVerifier({
    issuer: issuer.uri,
    audience: 'orders',
    keys: async () => jwks(key),
    clock: () => epochMillis(seconds * 1000),
  })

async function codeOf(text: string | undefined, what = request, seconds = start): Promise<string> {
  const verdict = await at(seconds).verify(text, what)
  return verdict.ok ? 'ok' : verdict.code
}

test('an assertion about this request holds, and no other one does', async () => {
  const right = async (more: Partial<PrincipalAssertionClaims> = {}) => mintAssertion(claimsOf(more), signer)
  assert.equal(await codeOf(await right()), 'ok')
  assert.equal(await codeOf(await right(), { ...request, method: 'PUT' }), 'token_binding')
  assert.equal(await codeOf(await right(), { ...request, target: '/orders?x=2' }), 'token_binding')
  assert.equal(await codeOf(await right(), { ...request, body: utf8('two') }), 'token_binding')
  const { body: _, ...empty } = request
  assert.equal(await codeOf(await right(), empty as typeof request), 'token_binding')
  assert.equal(await codeOf(await right({ aud: 'other' })), 'token_audience')
  assert.equal(await codeOf(await right({ iss: agent.uri })), 'token_issuer')
  assert.equal(await codeOf(undefined), 'token_claims')
  assert.equal(await codeOf(''), 'token_claims')
})

test('it lasts for a minute, whatever the clock of the program is', async () => {
  const text = async () => mintAssertion(claimsOf(), signer)
  for (const seconds of [start - 5, start, start + 64]) assert.equal(await codeOf(await text(), request, seconds), 'ok')
  assert.equal(await codeOf(await text(), request, start + 65), 'token_expired')
  assert.equal(await codeOf(await text(), request, start + 7200), 'token_expired')
  assert.equal(await codeOf(await text(), request, start - 7200), 'token_not_yet_valid')
  await assert.rejects(mintAssertion(claimsOf({ exp: epochSeconds(start + 61) }), signer), {
    code: 'token_claims_invalid',
  })
})

test('by a time before it was signed, with what clocks may differ, it does not hold yet', async () => {
  const text = await mintAssertion(claimsOf(), signer)
  const check = { issuer: issuer.uri, audience: 'orders', method: request.method, target: request.target }
  const bodySha256 = toBase64url(sha256(request.body))
  const keys = new Map([[signer.kid, { verify: () => true }]]) as never
  const judged = (seconds: number) =>
    verifyAssertion(text, { ...check, bodySha256, keys, now: () => epochSeconds(seconds) })
  assert.equal(judged(start - 5).ok, true)
  const early = judged(start - 6)
  assert.equal(early.ok ? 'ok' : early.code, 'token_not_yet_valid')
})

test('JW-8: what another key has signed, or a token of another kind, is no assertion', async () => {
  const text = await mintAssertion(claimsOf(), signer)
  const forged = await mintAssertion(claimsOf(), { kid: signer.kid, signKey: other.signKey })
  assert.equal(await codeOf(forged), 'token_signature')
  const unknown = await mintAssertion(claimsOf(), { kid: jwkThumbprint(other.jwk), signKey: other.signKey })
  assert.equal(await codeOf(unknown), 'token_key_unknown')
  const [head = '', payload = '', signature = ''] = text.split('.')
  const changed = JSON.parse(Buffer.from(payload, 'base64url').toString()) as PrincipalAssertionClaims
  const encoded = toBase64url(utf8(JSON.stringify({ ...changed, sub: helper.uri })))
  assert.equal(await codeOf(`${head}.${encoded}.${signature}`), 'token_signature')
  const none = toBase64url(utf8(JSON.stringify({ alg: 'none', typ: 'doorward-principal+jwt', kid: signer.kid })))
  assert.equal(await codeOf(`${none}.${payload}.${signature}`), 'token_algorithm')
  const svid = await mintJwtSvid(
    { sub: agent.uri, aud: 'orders', iat: epochSeconds(start), exp: epochSeconds(start + 60) },
    signer,
  )
  assert.equal(await codeOf(svid), 'token_type')
})

test('it counts once', async () => {
  const verifier = at(start)
  const text = await mintAssertion(claimsOf(), signer)
  assert.equal((await verifier.verify(text, request)).ok, true)
  const again = await verifier.verify(text, request)
  assert.equal(again.ok ? 'ok' : again.code, 'token_claims')
})

test('it counts once, whatever is done to the clock', async () => {
  const time = { wall: start, passed: 0 }
  const verifier = openAssertionVerifier({
    issuer: issuer.uri,
    audience: 'orders',
    keys: async () => jwks(key, other),
    clock: () => epochMillis(time.wall * 1000),
    monotonic: () => time.passed * 1000,
  })
  const fresh = (seconds: number) =>
    mintAssertion(claimsOf({ iat: epochSeconds(seconds), exp: epochSeconds(seconds + 60) }), signer)
  const codeNow = async (one: string) => {
    const verdict = await verifier.verify(one, request)
    return verdict.ok ? 'ok' : verdict.code
  }
  const text = await fresh(start)
  assert.equal(await codeNow(text), 'ok')
  // Ahead for both, and back for the program alone: whoever asserts has gone on.
  time.wall = start + 200
  const ahead = await fresh(time.wall)
  assert.equal(await codeNow(ahead), 'ok')
  time.wall = start
  assert.equal(await codeNow(ahead), 'token_claims')
  assert.equal(await codeNow(await fresh(start + 200)), 'ok')
  assert.equal(await codeNow(text), 'token_expired')
  // What is forgotten by now has ended, though the clock says otherwise.
  for (const [passed, wall] of [
    [74, start],
    [160, start],
    [320, start + 200],
    [320, start],
  ] as const) {
    Object.assign(time, { passed, wall })
    assert.equal(await codeNow(await fresh(start + 200 + passed)), 'ok')
    for (const one of [text, ahead]) assert.equal(await codeNow(one), 'token_expired')
  }
  // Of another key nothing is known by that, but that time has passed.
  const byOther = (claims: PrincipalAssertionClaims) =>
    mintAssertion(claims, { kid: jwkThumbprint(other.jwk), signKey: other.signKey })
  assert.equal(await codeNow(await byOther(claimsOf())), 'token_expired')
  const now = time.wall + time.passed
  const claims = claimsOf({ iat: epochSeconds(now), exp: epochSeconds(now + 60) })
  assert.equal(await codeNow(await byOther(claims)), 'ok')
})

test('a program that is started after its clock was put back believes what is asserted now, and nothing from before', async () => {
  // In both orders: what was used before the restart comes first, or after what is right.
  const [iat, exp] = [epochSeconds(start - 300), epochSeconds(start - 240)]
  for (const order of [
    ['used', 'right'],
    ['right', 'used'],
  ] as const) {
    const told = { jwks: JSON.stringify({ ...JSON.parse(jwks(key)), doorward_time: start * 1000 }) }
    const verifier = openAssertionVerifier({
      issuer: issuer.uri,
      audience: 'orders',
      keys: async () => told.jwks,
      clock: () => epochMillis((start - 300) * 1000),
    })
    for (const which of order) {
      const text = await mintAssertion(which === 'used' ? claimsOf({ iat, exp }) : claimsOf(), signer)
      const verdict = await verifier.verify(text, request)
      assert.equal(verdict.ok ? 'ok' : verdict.code, which === 'used' ? 'token_expired' : 'ok')
    }
  }
  // Of an issuer that tells no time, nothing is believed that the clock has not come to.
  assert.equal(await codeOf(await mintAssertion(claimsOf(), signer), request, start - 600), 'token_not_yet_valid')
  assert.equal(
    await codeOf(await mintAssertion(claimsOf({ iat, exp }), signer), request, start - 600),
    'token_not_yet_valid',
  )
})

test('a key that is new is asked for, and whoever forges key ids does not ask again and again', async () => {
  let [asked, keys] = [0, jwks(other)]
  const verifier = openAssertionVerifier({
    issuer: issuer.uri,
    audience: 'orders',
    keys: async () => {
      asked++
      return keys
    },
    clock: () => epochMillis(start * 1000),
  })
  const text = await mintAssertion(claimsOf(), signer)
  for (let i = 0; i < 5; i++) assert.equal((await verifier.verify(text, request)).ok, false)
  assert.equal(asked, 1)
  keys = jwks(key)
  while (!(await verifier.verify(await mintAssertion(claimsOf(), signer), request)).ok)
    await new Promise((resolve) => setTimeout(resolve, 50))
  assert.equal(asked, 2)
})

test('a reading that fails, or brings no key, takes no key away that is held', async () => {
  const readings: string[] = []
  let next = () => jwks(key)
  const verifier = openAssertionVerifier({
    issuer: issuer.uri,
    audience: 'orders',
    keys: async () => {
      readings.push('one')
      return next()
    },
    clock: () => epochMillis(start * 1000),
  })
  const right = async () => (await verifier.verify(await mintAssertion(claimsOf(), signer), request)).ok
  const forged = async () => mintAssertion(claimsOf(), { kid: jwkThumbprint(other.jwk), signKey: other.signKey })
  const away = () => {
    throw new Error('away')
  }
  assert.equal(await right(), true)
  for (const answer of [away, () => '{"keys":[]}']) {
    next = answer
    const before = readings.length
    while (readings.length === before) {
      await verifier.verify(await forged(), request).catch(() => undefined)
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    assert.equal(await right(), true)
  }
})

test('keys that cannot be read at first are asked for once a second, and not by each call', async () => {
  let asked = 0
  const verifier = openAssertionVerifier({
    issuer: issuer.uri,
    audience: 'orders',
    keys: async () => {
      asked++
      throw new Error('away')
    },
    clock: () => epochMillis(start * 1000),
  })
  const text = await mintAssertion(claimsOf(), signer)
  const began = performance.now()
  for (let i = 0; i < 20; i++) await assert.rejects(verifier.verify(text, request), /away/)
  assert.ok(asked <= 1 + (performance.now() - began) / 1000, `${asked} readings`)
})

test('an assertion that has expired while keys were read is not believed', async () => {
  let [now, give]: [number, (keys: string) => void] = [start, () => undefined]
  const verifier = openAssertionVerifier({
    issuer: issuer.uri,
    audience: 'orders',
    keys: () => new Promise<string>((resolve) => (give = resolve)),
    clock: () => epochMillis(now * 1000),
  })
  const verdict = verifier.verify(await mintAssertion(claimsOf(), signer), request)
  now = start + 65
  give(jwks(key))
  const { ok, ...told } = await verdict
  assert.deepEqual([ok, 'code' in told && told.code], [false, 'token_expired'])
})

test('who acts for whom stands in it, whoever called first; what does not fit is not asserted', async () => {
  const assertions = await Assertions.open({ issuer, audience: 'orders', clock: () => epochMillis(start * 1000) })
  const user = { kind: 'user' as const, issuer: 'https://login.example', subject: 'alice', groups: [] }
  const principal = { subject: user, presenter: agent, act: [helper] } as never
  const call = { principal, decision: 'log#1' }
  const { method, target, body } = request
  const text = await assertions.of({ call, method, target, body })
  const verifier = openAssertionVerifier({
    issuer: issuer.uri,
    audience: 'orders',
    keys: async () => assertions.jwks,
    clock: () => epochMillis(start * 1000),
  })
  const verdict = await verifier.verify(text, request)
  assert.ok(verdict.ok)
  const { sub, client_id, act } = verdict.claims
  assert.deepEqual([sub, client_id], ['https://login.example#alice', agent.uri])
  assert.deepEqual(act, { sub: agent.uri, act: { sub: helper.uri } })
  await assert.rejects(assertions.of({ call, method, target: `/${'x'.repeat(2048)}`, body }), { code: 'header_limit' })
})
