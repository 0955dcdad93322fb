/** What a program that protects itself refuses, each beside what passes: nothing of it reaches the handler, all of it is on record. */

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import {
  anchorName,
  buildCertificate,
  epochMillis,
  epochSeconds,
  keyIdOf,
  newSerial,
  parseSpiffeId,
  svidTemplate,
} from '@doorward/core'
import { generateP256, protect, randomBytes, sha256, systemRuntime } from '@doorward/sdk'
import type { ProtectedListener, ProtectedServer } from '@doorward/sdk'
import { readEntries } from '../../packages/server/src/audit/read.ts'
import { claimsIn, thiefOf } from '../fixtures/authority/delegation-stage.ts'
import { RawClient } from '../fixtures/authority/raw-client.ts'
import type { RawAnswer, RawIdentity } from '../fixtures/authority/raw-client.ts'
import { call, joined, selfSigned } from '../fixtures/authority/workload.ts'
import type { Workload } from '../fixtures/authority/workload.ts'
import { openProtectedStage } from '../fixtures/protected-stage.ts'
import type { ProtectedStage } from '../fixtures/protected-stage.ts'
import { idOf } from '../fixtures/sdk-stage.ts'

let stage: ProtectedStage
let reader: Workload
let token: string

before(async () => {
  stage = await openProtectedStage()
  reader = await stage.workload('agent/reader')
  token = await stage.token(reader)
})
after(() => stage.close())

const codeOf = ({ headers }: RawAnswer) => headers['doorward-code']

/** Refused with the code, not reached, on record with it; what is right beside it passes. */
async function refused(code: string, ask: () => Promise<RawAnswer>): Promise<RawAnswer> {
  const before = stage.reached.length
  const answer = await ask()
  assert.equal(codeOf(answer), code, answer.text)
  assert.equal(stage.reached.length, before)
  assert.equal((await stage.entryOf(answer)).body['code'], code)
  assert.equal((await stage.ask(reader, token, 'GET /orders/7')).status, 200)
  assert.equal(stage.reached.length, before + 1)
  return answer
}

test('a caller with certificate, token and role is served, and the handler knows who it is', async () => {
  const answer = await stage.ask(reader, token, 'GET /orders/7?full=1')
  assert.equal(answer.status, 200)
  const { presenter, act, route, decision, headers } = answer.json()
  assert.deepEqual([presenter, act, route], [reader.id, [], 'GET /orders/{id}'])
  assert.equal(decision, answer.headers['doorward-decision'])
  assert.equal(codeOf(answer), 'allowed')
  assert.ok(!JSON.stringify(headers).includes('Bearer'))
  const entry = await stage.entryOf(answer)
  assert.equal(entry.body['decision'], 'allow')
  const writer = await stage.workload('agent/writer', ['writer'])
  const written = await stage.ask(writer, await stage.token(writer), 'POST /orders', 'one order')
  assert.equal(written.json()['body'], 'one order')
})

test('a program of the SDK calls it by fetch, and knows who answers', async () => {
  const identity = await stage.connect(
    'agent/program',
    { roles: ['reader'] },
    { peers: { [stage.audience]: { id: idOf('service/orders') } } },
  )
  const answer = await identity.fetch(`${stage.audience}/orders/8`)
  assert.equal(answer.status, 200)
  assert.equal(((await answer.json()) as { presenter: string }).presenter, idOf('agent/program'))
  await assert.rejects(identity.fetch(`${stage.audience}/orders/8`, { expect: idOf('service/other') }), {
    code: 'server_identity',
  })
  const denied = await identity.fetch(`${stage.audience}/orders`, { method: 'POST', body: 'x' })
  assert.deepEqual([denied.status, denied.headers.get('doorward-code')], [403, 'policy_denied'])
})

test('without a certificate, with one of its own making or of another trust domain, there is no connection', async () => {
  const before = stage.reached.length
  const anchorKey = await generateP256()
  const key = await generateP256()
  const now = Math.floor(Date.now() / 1000)
  const keyId = keyIdOf(anchorKey.jwk, sha256)
  const template = svidTemplate({
    notBefore: epochSeconds(now - 60),
    notAfter: epochSeconds(now + 600),
    spiffeId: parseSpiffeId('spiffe://other.example/agent/reader'),
    publicKey: key.spki,
    serial: newSerial(randomBytes),
    issuer: { name: anchorName('other.example', keyId), keyId },
  })
  const foreign = { certificate: await buildCertificate(template, anchorKey.signKey), privateKey: key.privateKey }
  const strangers: readonly (RawIdentity | null)[] = [null, await selfSigned(await generateP256()), foreign]
  for (const stranger of strangers)
    await assert.rejects(async () => {
      const client = await RawClient.open(stage.server.address, stranger)
      await client.request('GET', '/orders/7', { headers: { authorization: `Bearer ${token}` } })
    })
  assert.equal(stage.reached.length, before)
  for (let tries = 0; tries < 200; tries++) {
    const counted = (await stage.entries()).filter(({ kind }) => kind === 'refusals')
    if (counted.length > 0) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  assert.fail('the strangers are not on record')
})

test('a certificate alone is refused, and a token for another audience, of another key, or made up', async () => {
  const other = await stage.workload('agent/other')
  const otherToken = await stage.token(other)
  await refused('token_missing', () => stage.ask(reader, null, 'GET /orders/7'))
  const elsewhere = await stage.token(reader, 'https://gateway.test.example/mcp/files')
  await refused('token_audience', () => stage.ask(reader, elsewhere, 'GET /orders/7'))
  await refused('token_binding', () => stage.ask(reader, otherToken, 'GET /orders/7'))
  await refused('token_signature', () => stage.ask(reader, `${token.slice(0, -8)}AAAAAAAA`, 'GET /orders/7'))
})

test('a route that is not declared exists for nobody, and strangers to a role do nothing', async () => {
  await refused('path_unknown', () => stage.ask(reader, token, 'GET /admin'))
  await refused('path_unknown', () => stage.ask(reader, token, 'GET /orders/7/items'))
  await refused('http_method', () => stage.ask(reader, token, 'PUT /orders/7'))
  await refused('policy_denied', () => stage.ask(reader, token, 'DELETE /orders/7'))
  await refused('request_invalid', () => stage.ask(reader, token, 'GET /orders/7?_method=DELETE'))
  const nobody = await stage.workload('agent/nobody', [])
  const own = await stage.token(nobody)
  await refused('policy_denied', () => stage.ask(nobody, own, 'GET /orders/7'))
})

test('heads and bodies that could be read in two ways, or are too large, are refused', async () => {
  const before = stage.reached.length
  for (const path of ['/orders//7', '/orders/%2e%2e', '/orders/a;b'])
    assert.equal(codeOf(await stage.ask(reader, token, `GET ${path}`)), 'path_ambiguous', path)
  assert.equal(stage.reached.length, before)
  const writer = await stage.workload('agent/large', ['writer'])
  const own = await stage.token(writer)
  await refused('body_too_large', () => stage.ask(writer, own, 'POST /orders', 'x'.repeat(1_100_000)))
})

test('a handler that throws is an error without its words, and on record as failed', async () => {
  const answer = await stage.ask(reader, token, 'GET /broken')
  assert.deepEqual([answer.status, codeOf(answer)], [500, 'internal'])
  assert.ok(!answer.text.includes('broken'))
})

test('a handler sees neither credentials nor what would make another request of this one', async () => {
  const client = await RawClient.open(stage.server.address, reader)
  const headers = { 'x-http-method-override': 'DELETE', 'x-original-url': '/admin', 'x-request-id': 'one' }
  const answer = await client.request('GET', '/orders/7', {
    headers: { authorization: `Bearer ${token}`, cookie: 'a=b', ...headers },
  })
  assert.equal(answer.status, 200)
  const seen = Object.keys(answer.json()['headers'] as object)
  assert.deepEqual(
    seen.filter((name) => name in { ...headers, authorization: '', cookie: '' }),
    ['x-request-id'],
  )
  client.close()
})

test('whoever goes while it is judged, recorded or answered has an outcome of each request on the record', async () => {
  const gone = await stage.workload('agent/gone')
  const authorization = `Bearer ${await stage.token(gone)}`
  for (let i = 0; i < 12; i++) {
    const client = await RawClient.open(stage.server.address, gone)
    client.send('GET', '/stream', { headers: { authorization } })
    await new Promise((resolve) => setTimeout(resolve, i % 6))
    client.close()
  }
  const allowed = async () =>
    (await stage.entries()).flatMap(({ kind, body }, i) =>
      kind === 'decision' && body['presenter'] === gone.id ? [i] : [],
    )
  while ((await allowed()).length === 0) await new Promise((resolve) => setTimeout(resolve, 20))
  await new Promise((resolve) => setTimeout(resolve, 300))
  const decided: unknown[] = await allowed()
  const outcomes = async () =>
    (await stage.entries()).filter(({ kind, body }) => kind === 'outcome' && decided.includes(body['of']))
  while ((await outcomes()).length < decided.length) await new Promise((resolve) => setTimeout(resolve, 20))
  for (const { body } of await outcomes()) assert.equal(body['status'], 'cancelled')
})

test('who is removed in the middle of an answer gets no more of it, and nothing afterwards', async () => {
  const victim = await stage.workload('agent/victim')
  const own = await stage.token(victim)
  const operator = await joined(stage.authority, idOf('operator/eve'), ['admin'])
  const client = await RawClient.open(stage.server.address, victim)
  client.send('GET', '/stream', { headers: { authorization: `Bearer ${own}` } })
  assert.equal((await client.head()).status, 200)
  assert.equal(await client.chunk(), 'tick\n')
  const admin = await RawClient.open(stage.authority.running.addresses.admin, operator)
  const closed = new Promise((resolve) => client.socket.once('close', resolve))
  const gone = await call(
    admin,
    await stage.token(operator, stage.callee.identity.authorityUrl),
    `DELETE /v1/workloads?id=${encodeURIComponent(victim.id)}`,
  )
  assert.equal(gone.status, 200)
  await closed
  const before = stage.reached.length
  await assert.rejects(async () => {
    const answer = await stage.ask(victim, own, 'GET /orders/7')
    assert.notEqual(answer.status, 200)
    throw new Error(codeOf(answer))
  })
  assert.equal(stage.reached.length, before)
  admin.close()
})

test('who loses its role in the middle of an answer gets no more of it', async () => {
  const loser = await stage.workload('agent/loser')
  const own = await stage.token(loser)
  const client = await RawClient.open(stage.server.address, loser)
  client.send('GET', '/stream', { headers: { authorization: `Bearer ${own}` } })
  assert.equal((await client.head()).status, 200)
  const closed = new Promise((resolve) => client.socket.once('close', resolve))
  await stage.authority.running.registerWorkload({ id: loser.id, roles: [] }, 'test')
  await closed
  await refused('policy_denied', () => stage.ask(loser, own, 'GET /orders/7'))
})

test('OP-11: a callee whose clock is off, whichever way, decides by the authority’s time or not at all', async () => {
  let ahead = -1_200_000
  const runtime = { ...systemRuntime, wall: () => epochMillis(Date.now() + ahead) }
  // What the authority has just signed is of the future to whoever starts by a clock that is behind.
  await assert.rejects(stage.connect('service/behind', {}, { runtime }), { code: 'trust_state_missing' })
  ahead = 0
  const [port = 0, other = 0] = stage.ports.slice(1)
  const [place, audience] = [`${stage.folders.root}/off`, `https://127.0.0.1:${port}`]
  const identity = await stage.connect('service/off', { audiences: [audience] }, { callee: true, runtime })
  const reached: string[] = []
  const options = { ...stage.protecting, identity, audience, listen: { host: '127.0.0.1', port } }
  const record = { folder: `${place}/record`, checkpoints: `${place}/checkpoints` }
  const handler: ProtectedListener = (request, response) => {
    reached.push(request.url ?? '')
    response.end()
  }
  await using server = await protect(handler, { ...options, record })
  const sign = await thiefOf(stage.folders)
  const good = await stage.token(reader, audience)
  const [now, claims] = [Math.floor(Date.now() / 1000), claimsIn(good)]
  const tokens = {
    allowed: good,
    token_expired: await sign({ ...claims, iat: now - 601, nbf: now - 661, exp: now - 301 }),
    token_not_yet_valid: await sign({ ...claims, iat: now + 600, nbf: now + 540, exp: now + 900 }),
  }
  const told = async ({ address }: Pick<ProtectedServer, 'address'>, shown: string) => {
    const before = reached.length
    const client = await RawClient.open(address, reader)
    const answer = await client.request('GET', '/orders/7', { headers: { authorization: `Bearer ${shown}` } })
    client.close()
    return [codeOf(answer), reached.length - before]
  }
  for (ahead of [0, 1_200_000, -1_200_000])
    for (const [code, shown] of Object.entries(tokens))
      assert.deepEqual(await told(server, shown), [code, code === 'allowed' ? 1 : 0], `${ahead}`)
  // To whoever starts by one that is ahead it is old, and so is every word of the authority.
  ahead = 1_200_000
  const its = `https://127.0.0.1:${other}`
  const late = await stage.connect('service/late', { audiences: [its] }, { callee: true, runtime })
  await using stale = await protect(handler, {
    ...options,
    identity: late,
    audience: its,
    listen: { host: '127.0.0.1', port: other },
    record: { folder: `${place}/late`, checkpoints: `${place}/late-checkpoints` },
  })
  assert.deepEqual(await told(stale, await stage.token(reader, its)), ['trust_stale', 0])
  await server.close()
  const codes: unknown[] = []
  for await (const { entry } of readEntries(`${record.folder}/log`))
    if (entry.kind === 'decision') codes.push(entry.body['code'])
  assert.deepEqual(codes, Array.from({ length: 3 }, () => Object.keys(tokens)).flat())
})

test('options that cannot be enforced are refused at the start', async () => {
  const good = {
    identity: stage.callee,
    audience: stage.audience,
    listen: { host: '127.0.0.1', port: 0 },
    service: 'orders',
    routes: ['GET /x'],
    policy: { roles: {} },
    record: { folder: `${stage.folders.root}/r2`, checkpoints: `${stage.folders.root}/c2` },
  }
  const handler = () => undefined
  const caller = await stage.connect('agent/mere-caller')
  await assert.rejects(protect(handler, { ...good, identity: caller }), { code: 'identity_scope' })
  await assert.rejects(protect(handler, { ...good, audience: 'http://a.example' }), { code: 'audience_invalid' })
  for (const route of ['GET', 'FETCH /x', 'GET x', 'GET /x/', 'GET /x/*/y', 'GET /../x', 'GET /{9}'])
    await assert.rejects(protect(handler, { ...good, routes: [route] }), { code: 'route_invalid' }, route)
  await assert.rejects(protect(handler, { ...good, routes: ['GET /{a}', 'GET /{b}'] }), { code: 'route_invalid' })
  await assert.rejects(protect(handler, { ...good, policy: { roles: { r: ['read:other/*'] } } }), AggregateError)
  const { folder } = good.record
  await assert.rejects(protect(handler, { ...good, record: { folder, checkpoints: `${folder}/c` } }), {
    code: 'record_place',
  })
  await using server = await protect(handler, good)
  await assert.rejects(protect(handler, good), { code: 'record_locked' })
  assert.ok(server.address.port > 0)
})
