/** JWT-SVIDs of a running authority: whom they are given for, what they say, and that no server of ours takes one. */

import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { after, before, test } from 'node:test'
import { isJsonObject, jwtSvidKeysOf, parseTrustBundle, scanJson, toSeconds, utf8, verifyJwtSvid } from '@doorward/core'
import type { JsonObject } from '@doorward/core'
import { importP256, sha256, systemClock } from '@doorward/sdk'
import { RawClient } from '../fixtures/authority/raw-client.ts'
import type { RawAnswer } from '../fixtures/authority/raw-client.ts'
import { EFFECTIVE, partOf, RevocationStage } from '../fixtures/authority/revocation-stage.ts'
import { recordOf } from '../fixtures/authority/running.ts'
import { call, joined, ownToken, tokenFor } from '../fixtures/authority/workload.ts'
import type { Workload } from '../fixtures/authority/workload.ts'

const cloud = 'https://sts.cloud.example'
const trustDomain = 'test.example'
let stage: RevocationStage
let agent: Workload
let peer: Workload

before(async () => {
  stage = await RevocationStage.open({ settings: { jwtSvidAudiences: [cloud] } })
  agent = await joined(stage.authority, 'spiffe://test.example/agent/caller')
  peer = await joined(stage.authority, 'spiffe://test.example/service/callee')
})
after(() => stage.close())

async function ask(audience: unknown, more: object = {}): Promise<RawAnswer> {
  const token = await ownToken(stage.authority, agent)
  const client = await stage.connect(agent)
  try {
    return await call(client, token, 'POST /v1/jwt-svid', { audience, ...more })
  } finally {
    client.close()
  }
}

async function svidFor(audience: string): Promise<string> {
  const answer = await ask(audience)
  assert.equal(answer.status, 200, answer.text)
  return String(answer.json()['svid'])
}

async function bundleKeys() {
  const client = await RawClient.open(stage.authority.running.addresses.public, null)
  try {
    const bundle = parseTrustBundle(utf8((await client.request('GET', '/v1/trust-bundle')).text), { sha256 })
    assert.ok(bundle !== null)
    return jwtSvidKeysOf(bundle, importP256)
  } finally {
    client.close()
  }
}

/** As anybody does who has the bundle alone. */
async function verdict(svid: string, audience: string): Promise<string> {
  const check = { audience, trustDomain, keys: await bundleKeys(), now: toSeconds(systemClock()) }
  const result = verifyJwtSvid(svid, check)
  return result.ok ? result.svid.id.uri : result.code
}

function claimsOf(svid: string): JsonObject {
  const scan = scanJson(Buffer.from(svid.split('.')[1] ?? '', 'base64url'))
  assert.ok(scan.ok && isJsonObject(scan.value))
  return scan.value
}

type Body = Readonly<Record<string, unknown>>

/** What the record says of JWT-SVIDs once it has this one. */
async function issuedUpTo(svid: string): Promise<{ readonly own: Body; readonly all: readonly Body[] }> {
  const { jti } = claimsOf(svid)
  const deadline = performance.now() + EFFECTIVE
  for (;;) {
    const bodies = (await recordOf(stage.authority.folders)).map(({ body }) => body as Body)
    const all = bodies.filter(({ phase }) => phase === 'jwt-svid')
    const own = all.find(({ token }) => token === jti)
    if (own !== undefined) return { own, all }
    assert.ok(performance.now() < deadline, 'not on record')
    await sleep(50)
  }
}

test('JW-3, JW-6: one for a workload of the trust domain holds by the public bundle, for this workload alone', async () => {
  const svid = await svidFor(peer.id)
  assert.equal(await verdict(svid, peer.id), agent.id)
  assert.equal(await verdict(svid, agent.id), 'token_audience')
  const { aud, exp, iat } = claimsOf(svid)
  assert.equal(aud, peer.id)
  assert.ok(Number(exp) - Number(iat) <= 300)
})

test('JW-7, JW-8: it names a key that signs JWT-SVIDs alone, and says that it is one', async () => {
  const svid = await svidFor(peer.id)
  const accessToken = await ownToken(stage.authority, agent)
  const header = JSON.parse(Buffer.from(svid.split('.')[0] ?? '', 'base64url').toString()) as Record<string, unknown>
  assert.deepEqual([header['alg'], header['typ']], ['ES256', 'JWT'])
  assert.deepEqual(
    (await bundleKeys()).map(({ kid }) => kid),
    [header['kid']],
  )
  assert.notEqual(header['kid'], partOf(accessToken, 0, 'kid'))
})

test('one within the trust domain is bound to the certificate of who asked; one for an audience outside is not', async () => {
  const fingerprint = agent.read.fingerprint
  assert.deepEqual(claimsOf(await svidFor(peer.id))['cnf'], { 'x5t#S256': fingerprint })
  const outside = await svidFor(cloud)
  assert.equal(await verdict(outside, cloud), agent.id)
  assert.equal(claimsOf(outside)['cnf'], undefined)
})

test('an audience that is neither registered nor listed is refused, on record, and nothing is issued', async () => {
  const refused = [
    'https://elsewhere.example',
    `${cloud}/`,
    'spiffe://test.example/service/nobody',
    'spiffe://other.example/service/callee',
    'spiffe://test.example',
    // What access tokens are for.
    'https://authority.test.example',
    'https://gateway.test.example/mcp/files',
  ]
  for (const audience of refused) {
    const answer = await ask(audience)
    assert.deepEqual([answer.status, answer.headers['doorward-code']], [400, 'audience_unknown'], audience)
    assert.match(answer.headers['doorward-decision'] ?? '', /^test\.example\/authority#\d+$/)
  }
  const { own, all } = await issuedUpTo(await svidFor(peer.id))
  assert.equal(own['audience'], peer.id)
  assert.ok(!all.some(({ audience }) => refused.includes(String(audience))))
})

test('a request with none, several or another form of audience is refused', async () => {
  for (const audience of [undefined, '', [peer.id], 7, 'x'.repeat(2049)])
    assert.equal((await ask(audience)).headers['doorward-code'], 'request_invalid')
  assert.equal((await ask(peer.id, { spiffe_id: peer.id })).headers['doorward-code'], 'request_invalid')
})

test('JW-8: our own servers take no JWT-SVID as a token, and none is given without an access token', async () => {
  const svid = await svidFor(peer.id)
  const client = await stage.connect(agent)
  try {
    const refused = await call(client, svid, 'POST /v1/jwt-svid', { audience: peer.id })
    assert.deepEqual([refused.status, refused.headers['doorward-code']], [401, 'token_type'])
    assert.equal((await call(client, await tokenFor(client), 'POST /v1/jwt-svid', { audience: peer.id })).status, 200)
    const headers = { 'content-type': 'application/json' }
    const bare = await client.request('POST', '/v1/jwt-svid', { headers, body: JSON.stringify({ audience: peer.id }) })
    assert.equal(bare.headers['doorward-code'], 'token_missing')
  } finally {
    client.close()
  }
})

test('each is on record with its id, its audience and its binding, never with its text', async () => {
  const svid = await svidFor(cloud)
  const { own: entry } = await issuedUpTo(svid)
  assert.deepEqual([entry['id'], entry['audience'], entry['bound']], [agent.id, cloud, false])
  assert.ok(!JSON.stringify(await recordOf(stage.authority.folders)).includes(svid.split('.')[2] ?? ''))
})

test('a denied key leaves the bundle at once, what it signed holds no more, and another one signs', async () => {
  const svid = await svidFor(peer.id)
  assert.equal(await verdict(svid, peer.id), agent.id)
  await stage.revoke({ subject: 'authority', key_id: partOf(svid, 0, 'kid') })
  assert.equal(await verdict(svid, peer.id), 'token_key_unknown')
  const again = await svidFor(peer.id)
  assert.notEqual(partOf(again, 0, 'kid'), partOf(svid, 0, 'kid'))
  assert.equal(await verdict(again, peer.id), agent.id)
})
