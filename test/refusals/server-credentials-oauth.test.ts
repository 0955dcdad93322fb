/** Tokens that the gateway asks for as a client, for a server: kept while they are good, got anew when they are not, and no call without. */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { after, afterEach, before, beforeEach, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ClientCredentialsSettings } from '../../packages/server/src/config/secret-settings.ts'
import { GatewayFixture } from '../fixtures/gateway-fixture.ts'
import { modern, modernServer, result } from '../fixtures/modern-server.ts'
import type { RawAnswer } from '../fixtures/raw-http.ts'
import type { ScriptedServer } from '../fixtures/scripted-server.ts'
import { SecretsStage, stored } from '../fixtures/secrets-stage.ts'
import { openTokenServer } from '../fixtures/token-server.ts'
import type { TokenServer } from '../fixtures/token-server.ts'
import type { TestSvid } from '../fixtures/trust-fixture.ts'

let tokens: TokenServer
let server: ScriptedServer
let stage: SecretsStage
let gateway: GatewayFixture
let agent: TestSvid
/** The server refuses whatever it is shown. */
let refusesAll = false

before(async () => {
  tokens = await openTokenServer()
  server = await modernServer((reached, response) => {
    const token = /^Bearer (.+)$/.exec(reached.headers['authorization'] ?? '')?.[1]
    if (refusesAll || !tokens.good(token)) return void response.writeHead(401, { 'WWW-Authenticate': 'Bearer' }).end()
    result(reached, response, { resultType: 'complete', content: [{ type: 'text', text: 'done' }] })
  })
})
after(async () => {
  await server.close()
  await tokens.close()
})
beforeEach(async () => {
  refusesAll = false
  tokens.mood = 'well'
  tokens.clientSecret = 'canary-client-secret-1'
  tokens.expiresIn = 3600
  tokens.issuer = tokens.url
  stage = await SecretsStage.open({ client: stored(['notes']), narrow: stored(['notes'], ['reader']) })
  await stage.put('client', tokens.clientSecret)
  await stage.put('narrow', tokens.clientSecret)
})
afterEach(async () => {
  await gateway.close()
  await stage.close()
})

async function open(more: Partial<ClientCredentialsSettings> = {}): Promise<void> {
  const credential = stage.credential('notes', {
    kind: 'client',
    tokenUrl: `${tokens.url}/token`,
    issuer: null,
    clientId: 'gateway',
    secret: 'client',
    auth: 'basic',
    keyId: null,
    scopes: ['notes.read', 'notes.write'],
    resource: 'https://notes.example/mcp',
    ca: tokens.ca,
    allowPrivateAddresses: true,
    ...more,
  })
  gateway = await GatewayFixture.open({
    servers: { notes: { url: server.url, credential } },
    roles: { all: ['*'], reader: ['*'] },
  })
  agent = await gateway.trust.issue('agent/planner', { roles: ['all'] })
  // What the gateway asks for itself has its token too.
  await call().catch(() => undefined)
  tokens.asked.length = 0
  server.reached.length = 0
}

const otherKey = () =>
  generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()

const call = (as = agent) => gateway.rpc(as, 'notes', modern('tools/call', { params: { name: 'x', arguments: {} } }))

const sent = () =>
  server.reached.filter(({ body }) => body.includes('tools/call')).map(({ headers }) => headers['authorization'])

async function refused(answer: RawAnswer, code: string): Promise<void> {
  equal(answer.headers['doorward-code'], code, answer.text)
  ok(!/canary/.test(answer.text + JSON.stringify(gateway.record.entries) + JSON.stringify(gateway.dropped)))
}

test('one token serves all calls while it is good, with the scopes and the resource that were asked for', async () => {
  await open()
  const answers = await Promise.all(Array.from({ length: 20 }, () => call()))
  deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]))
  equal(tokens.asked.length, 0)
  equal(new Set(sent()).size, 1)
  tokens.expiresIn = 1
  tokens.revokeAll()
  await sleep(1000)
  await Promise.all(Array.from({ length: 5 }, () => call()))
  const [form] = tokens.asked
  deepEqual(
    ['grant_type', 'scope', 'resource', 'client_id'].map((name) => form?.get(name)),
    ['client_credentials', 'notes.read notes.write', 'https://notes.example/mcp', null],
  )
  equal(tokens.asked.length, 1)
  await sleep(1000)
  equal((await call()).status, 200)
  equal(tokens.asked.length, 2, 'it is not used at the end of its life')
})

for (const auth of ['post', 'private_key_jwt'] as const)
  test(`the client proves itself by ${auth}`, async () => {
    if (auth === 'private_key_jwt') await stage.put('client', tokens.clientKey)
    await open({ auth, keyId: 'k1' })
    equal((await call()).status, 200)
    await sleep(1100)
    await stage.put('client', auth === 'post' ? 'canary-wrong-secret' : otherKey())
    await refused(await call(), 'credential_unavailable')
  })

test('what is asked for is on record, before it is, and each call says by which token', async () => {
  await open()
  await call()
  deepEqual(
    stage.uses.map((one) => (one as Record<string, unknown>)['for']),
    ['token'],
  )
  const outcomes = await gateway.entries('outcome')
  const credentials = outcomes.flatMap(({ body }) => (body['credentials'] as readonly Record<string, unknown>[]) ?? [])
  ok(credentials.length > 0)
  for (const { secret, token, version } of credentials)
    deepEqual([secret, token, typeof version], ['client', 1, 'string'])
})

test('a token that is revoked early is replaced once, and the call goes through', async () => {
  await open()
  await sleep(1000)
  tokens.revokeAll()
  equal((await call()).status, 200)
  deepEqual([tokens.asked.length, sent().length], [1, 2])
})

test('a server that refuses every token is told so, and has no token asked for with every call', async () => {
  await open()
  refusesAll = true
  for (let n = 0; n < 10; n++) await refused(await call(), 'credential_refused')
  ok(tokens.asked.length <= 1, String(tokens.asked.length))
})

test('another secret counts with the next call: with one that is wrong there is no token, and nothing is sent', async () => {
  await open()
  await stage.put('client', 'canary-wrong')
  await refused(await call(), 'credential_unavailable')
  deepEqual(sent(), [])
  await stage.put('client', tokens.clientSecret)
  equal((await call()).status, 200)
})

test('a secret that is narrowed to roles gives its token to nobody else', async () => {
  await open({ secret: 'narrow' })
  const reader = await gateway.trust.issue('agent/reader', { roles: ['reader'] })
  equal((await call(reader)).status, 200)
  const before = sent().length
  await refused(await call(), 'credential_withheld')
  equal(sent().length, before)
})

test('an authorization server that fails, lies or sends elsewhere gives no token, and is not asked by every call', async () => {
  for (const mood of ['down', 'silent', 'dpop', 'huge', 'redirecting', 'garbled', 'refusing'] as const) {
    tokens.mood = mood
    await open()
    for (let n = 0; n < 3; n++) await refused(await call(), 'credential_unavailable')
    ok(tokens.asked.length <= 2, `${mood}: ${tokens.asked.length}`)
    deepEqual(sent(), [], mood)
    await gateway.close()
  }
  tokens.mood = 'well'
  await open()
})

test('where tokens are given is found by the issuer, which must be itself; never at an address that is not allowed', async () => {
  await open({ tokenUrl: null, issuer: tokens.url })
  equal((await call()).status, 200)
  await gateway.close()
  tokens.issuer = 'https://evil.example'
  await open({ tokenUrl: null, issuer: tokens.url })
  await refused(await call(), 'credential_unavailable')
  await gateway.close()
  tokens.issuer = tokens.url
  await open({ allowPrivateAddresses: false })
  await refused(await call(), 'credential_unavailable')
  await gateway.close()
  await open({ ca: null })
  await refused(await call(), 'credential_unavailable')
  equal(tokens.asked.length, 0)
})
