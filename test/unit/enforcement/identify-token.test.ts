/** Who is calling, by the token: what is read from the header, what is verified, and what is remembered of it. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { epochClaim, epochMillis, epochSeconds, toMillis } from '@doorward/core'
import type { AccessTokenClaims } from '@doorward/core'
import { identify, isDenial } from '@doorward/enforcement'
import type { Identified, Inbound } from '@doorward/enforcement'
import { generateP256 } from '@doorward/sdk'
import { bearer } from '../../../packages/enforcement/src/identify.ts'
import { issue } from '../core/identity-fixture.ts'
import { after, authority, connectionOf, denials, id, inboundOf, keys, leaf, newStage } from './call-fixture.ts'
import { now, partial, tokenOf, viewOf } from './call-fixture.ts'
import type { Stage } from './call-fixture.ts'

const other = 'spiffe://example.org/agent/other'
const second = (seconds: number) => toMillis(epochSeconds(seconds))

/** The principal, or the code; who is refused for a token is named by its certificate. */
async function outcome(stage: Stage, inbound: Inbound): Promise<Identified | string> {
  const result = await identify(inbound, 'token', stage.dependencies)
  if (!isDenial(result)) return result
  assert.deepEqual(result.caller, partial)
  assert.deepEqual(stage.known.added, [])
  return result.code
}

async function passed(stage: Stage, inbound: Inbound): Promise<Identified> {
  const result = await outcome(stage, inbound)
  assert(typeof result !== 'string', JSON.stringify(result))
  stage.known.added.splice(0)
  return result
}

test('JW-5: a token is what follows Bearer and one space, however Bearer is written', () => {
  for (const [header, token] of [
    ['Bearer abc', 'abc'],
    ['bearer abc', 'abc'],
    ['BEARER a b', 'a b'],
    ['Bearer', null],
    ['Bearer ', null],
    ['Bearer  abc', null],
    ['Bearerabc', null],
    [' Bearer abc', null],
    ['xBearer abc', null],
    ['Basic Bearer abc', null],
    ['', null],
    [undefined, null],
  ] as const)
    assert.equal(bearer(header), token, `${header}`)
})

test('a request without a token is refused, whatever its certificate', async () => {
  const stage = newStage()
  for (const header of [null, '', 'Bearer ', `Basic ${await tokenOf()}`, await tokenOf()])
    assert.equal(await outcome(stage, inboundOf(header)), 'token_missing')
})

test('each fault of a token has its code, and names the caller of the certificate', async () => {
  const stranger = await generateP256()
  const elsewhere = await issue(authority)
  const faults: readonly (readonly [Partial<AccessTokenClaims>, string])[] = [
    [{ iss: 'https://other.example.org' }, 'token_issuer'],
    [{ aud: 'https://other.example.org' }, 'token_audience'],
    [{ cnf: { 'x5t#S256': elsewhere.fingerprint } }, 'token_binding'],
    [{ [epochClaim]: 6 }, 'token_epoch'],
    [{ iat: after(-400), nbf: after(-400), exp: after(-100) }, 'token_expired'],
    [{ iat: after(31) }, 'token_not_yet_valid'],
    [{ sub: 'spiffe://other.example/agent/planner' }, 'token_subject'],
  ]
  for (const [change, code] of faults) {
    const stage = newStage()
    assert.equal(await outcome(stage, inboundOf(`Bearer ${await tokenOf(change)}`)), code)
    assert.equal(stage.limiter.taken.length, 1, 'it counts against the limit of the caller')
  }
  const texts = [
    ['not.a.token', 'token_malformed'],
    [await tokenOf({}, stranger), 'token_signature'],
  ] as const
  for (const [text, code] of texts) assert.equal(await outcome(newStage(), inboundOf(`Bearer ${text}`)), code)
  const stage = newStage()
  stage.trust.view = viewOf({ tokenKeys: [] }, 2, 2)
  assert.equal(await outcome(stage, inboundOf(`Bearer ${await tokenOf()}`)), 'token_key_unknown')
})

test('nobody acts for anybody: subject and presenter are who holds the connection, without a chain', async () => {
  for (const change of [
    { sub: other, client_id: other },
    { sub: other, act: { sub: id.uri } },
    { act: { sub: id.uri } },
    { client_id: other, act: { sub: other } },
  ])
    assert.equal(await outcome(newStage(), inboundOf(`Bearer ${await tokenOf(change)}`)), 'token_subject')
})

test('a token ends half a minute after its time, at first sight and when it comes again', async () => {
  const inbound = inboundOf(`Bearer ${await tokenOf({ exp: after(10) })}`)
  const [last, ended] = [epochMillis(second(after(40)) - 1), second(after(40))]
  const stage = newStage()
  stage.trust.time = ended
  assert.equal(await outcome(stage, inbound), 'token_expired')
  for (const time of [last, second(now), last]) {
    stage.trust.time = time
    assert.equal((await passed(stage, inbound)).principal.expires, after(10))
  }
  stage.trust.time = ended
  assert.equal(await outcome(stage, inbound), 'token_expired')
})

test('a principal ends with the certificate where that ends first', async () => {
  const [stage, iat] = [newStage(), epochSeconds(leaf.notAfter - 100)]
  stage.trust.time = toMillis(iat)
  const { principal } = await passed(stage, inboundOf(`Bearer ${await tokenOf({ iat })}`))
  assert.equal(principal.expires, leaf.notAfter)
})

test('RV-5: a denied token, and a token from before a denial of its identity, is refused', async () => {
  // A certificate younger than the denial: what is held against the token alone.
  const token = `Bearer ${await tokenOf({ iat: after(-100) })}`
  const identity = (issuedBefore: number) =>
    denials({ identities: [{ id: id.uri, issuedBefore: epochSeconds(issuedBefore) }] })
  for (const [change, code] of [
    [denials({ tokens: ['token-id'] }), 'token_denied'],
    [identity(now - 39), 'identity_denied'],
    [identity(now), 'identity_denied'],
  ] as const) {
    const [stage, inbound] = [newStage(), inboundOf(token)]
    stage.trust.view = viewOf(change)
    assert.equal(await outcome(stage, inbound), code)
    stage.trust.view = viewOf()
    await passed(stage, inbound)
    stage.trust.view = viewOf(change, 2)
    assert.equal(await outcome(stage, inbound), code, 'remembered')
  }
  const others = [identity(now - 40), denials({ tokens: ['other'] })]
  for (const change of [...others, denials({ identities: [{ id: other, issuedBefore: now }] })]) {
    const stage = newStage()
    stage.trust.view = viewOf(change)
    await passed(stage, inboundOf(token))
  }
})

test('RP-3: a token that was accepted on a connection is not verified again, and its principal stays one', async () => {
  const [stage, inbound] = [newStage(), inboundOf(`Bearer ${await tokenOf()}`)]
  const before = keys.verifications
  const first = await passed(stage, inbound)
  const again = await passed(stage, inbound)
  assert.equal(keys.verifications, before + 1)
  assert.equal(again.principal, first.principal)
  assert.deepEqual(again, first)
  await passed(stage, inboundOf(inbound.head.headers['authorization'] ?? null))
  assert.equal(keys.verifications, before + 2, 'another connection remembers nothing')
})

test('RV-4: under another state a remembered token has the roles of that state', async () => {
  const [stage, inbound] = [newStage(), inboundOf(`Bearer ${await tokenOf()}`)]
  const before = keys.verifications
  const first = await passed(stage, inbound)
  stage.trust.view = viewOf({ workloads: [{ id: id.uri, roles: ['writer'] }] }, 2)
  const next = await passed(stage, inbound)
  assert.deepEqual([next.principal.roles, next.generation], [['writer'], 2])
  assert.deepEqual({ ...next.principal, roles: ['reader'] }, first.principal)
  assert.deepEqual(next.token, first.token)
  assert.equal((await passed(stage, inbound)).principal, next.principal)
  assert.equal(keys.verifications, before + 1)
})

test('under other keys a remembered token is verified again', async () => {
  const [stage, inbound] = [newStage(), inboundOf(`Bearer ${await tokenOf()}`)]
  await passed(stage, inbound)
  const before = keys.verifications
  stage.trust.view = viewOf({}, 2, 2)
  await passed(stage, inbound)
  assert.equal(keys.verifications, before + 1)
  stage.trust.view = viewOf(denials({ authorities: ['token-1'] }), 3, 3)
  assert.equal(await outcome(stage, inbound), 'token_key_unknown')
})

test('a token that is remembered for one audience is none for another', async () => {
  const [stage, connection] = [newStage(), connectionOf()]
  const inbound = inboundOf(`Bearer ${await tokenOf()}`, connection)
  await passed(stage, inbound)
  const elsewhere = { ...inbound, audience: 'https://gateway.example.org/mcp/other' }
  assert.equal(await outcome(stage, elsewhere), 'token_audience')
  await passed(stage, inbound)
})

test('a token that was refused is not remembered', async () => {
  const [stage, inbound] = [newStage(), inboundOf(`Bearer ${await tokenOf({ sub: other, client_id: other })}`)]
  const before = keys.verifications
  for (let n = 1; n <= 2; n++) {
    assert.equal(await outcome(stage, inbound), 'token_subject')
    assert.equal(keys.verifications, before + n)
  }
})
