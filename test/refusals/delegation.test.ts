/**
 * Delegation at the authority (reference ids DX-1 … DX-6): a workload that was called gets a token to act for its caller, and
 * every chain that widens, loops, is too long, was not given to who shows it, or hangs on something denied gets none.
 */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseSpiffeId, Secret } from '@doorward/core'
import { systemRuntime } from '@doorward/sdk'
import { signAssertion } from '../../packages/server/src/apps/credentials/signed-assertion.ts'
import { Assertions } from '../../packages/server/src/apps/sidecar/assertions.ts'
import type { AssertedCall } from '../../packages/server/src/apps/sidecar/assertions.ts'
import {
  askToken,
  callee,
  claimsIn,
  exchangeForm,
  idOf,
  ownAudience,
  ownForm,
  thiefOf,
  tokenIn,
} from '../fixtures/authority/delegation-stage.ts'
import type { Claims, Form } from '../fixtures/authority/delegation-stage.ts'
import { RawClient } from '../fixtures/authority/raw-client.ts'
import { publicUrl, recordOf, removeFolders, startTestAuthority } from '../fixtures/authority/running.ts'
import type { TestAuthority } from '../fixtures/authority/running.ts'
import { exchangeFor, providerKey, providerSettings, providerUrl, signedIn } from '../fixtures/authority/sign-in.ts'
import { call, joined, ownToken } from '../fixtures/authority/workload.ts'
import type { Workload } from '../fixtures/authority/workload.ts'
import { keySet } from '../fixtures/platform-issuer.ts'

const files = 'https://gateway.test.example/mcp/files'
const names = ['agent/a', 'agent/b', 'agent/c', 'agent/d', 'agent/e', 'agent/f'] as const
type Name = (typeof names)[number]

let folder: string
let authority: TestAuthority
let operator: Workload
const agents = new Map<string, Workload>()

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'doorward-delegation-'))
  const jwks = join(folder, 'jwks.json')
  await writeFile(jwks, keySet(providerKey))
  authority = await startTestAuthority({
    settings: { issuers: [providerSettings(jwks, 'spiffe://test.example/agent/a')] },
  })
  operator = await joined(authority, idOf('doorward/operator/eve'), ['admin'])
  for (const name of names) agents.set(name, await callee(authority, name))
})
after(async () => {
  await authority.stop()
  await removeFolders(authority.folders)
  await rm(folder, { recursive: true, force: true })
})

const agent = (name: Name): Workload => agents.get(name)!
const ask = (name: Name, form: Form) => askToken(authority, agent(name), form)

/** What `from` calls `to` with, for itself. */
const ownFor = async (from: Name, to: Name, more: Form = {}) =>
  tokenIn(await ask(from, { ...ownForm(ownAudience(to)), ...more }))

/** What `from`, called with the token, calls the audience with. */
const passedOn = async (from: Name, token: string, audience: string, more: Form = {}) =>
  tokenIn(await ask(from, { ...exchangeForm(token, audience), ...more }))

async function codeOf(name: Name, token: string, more: Form = {}, audience = files): Promise<string> {
  const answer = await ask(name, { ...exchangeForm(token, audience), ...more })
  if (answer.status === 200) return 'good'
  return [answer.status, answer.headers['doorward-code'], answer.json()['error']].join(' ')
}

/** The entry of the log that says so, once a checkpoint covers it. */
async function recorded(finds: (body: Claims) => boolean): Promise<Claims> {
  for (;;) {
    const found = (await recordOf(authority.folders)).map(({ body }) => body as Claims).find(finds)
    if (found !== undefined) return found
    await sleep(100)
  }
}

async function revoke(body: object): Promise<void> {
  const client = await RawClient.open(authority.running.addresses.admin, operator)
  const answer = await call(client, await ownToken(authority, operator), 'POST /v1/revocations', {
    ...body,
    reason: 'x',
  })
  client.close()
  equal(answer.status, 201, answer.text)
}

const serialOf = (name: Name) => agent(name).read.serial
const seconds = (token: string, claim: string) => Number(claimsIn(token)[claim])

test('DX-3: a workload that was called acts for its caller: same subject, itself wrapping who acted before, its own key', async () => {
  const first = await ownFor('agent/a', 'agent/b')
  const answer = await ask('agent/b', exchangeForm(first, ownAudience('agent/c')))
  equal(answer.json()['issued_token_type'], 'urn:ietf:params:oauth:token-type:access_token')
  equal(answer.json()['refresh_token'], undefined)
  const second = tokenIn(answer)
  const third = await passedOn('agent/c', second, files)
  const claims = claimsIn(third)
  deepEqual(
    [claims['sub'], claims['client_id'], claims['aud'], claims['act']],
    [idOf('agent/a'), idOf('agent/c'), files, { sub: idOf('agent/c'), act: { sub: idOf('agent/b') } }],
  )
  deepEqual(claims['cnf'], { 'x5t#S256': agent('agent/c').read.fingerprint })
  const links = claims['urn:doorward:chain'] as readonly Claims[]
  deepEqual(
    links.map(({ jti, serial }) => [jti, serial]),
    [
      [claimsIn(second)['jti'], serialOf('agent/b')],
      [claimsIn(first)['jti'], serialOf('agent/a')],
    ],
  )
  for (const [later, earlier] of [
    [third, second],
    [second, first],
  ] as const)
    ok(seconds(later, 'exp') <= seconds(earlier, 'exp'))
  const entry = await recorded(({ token }) => token === claims['jti'])
  deepEqual(
    [entry['presenter'], entry['subject'], entry['act'], entry['audience'], entry['shown'], entry['shown_audience']],
    [idOf('agent/c'), idOf('agent/a'), [idOf('agent/b')], files, claimsIn(second)['jti'], ownAudience('agent/c')],
  )
})

test('DX-2: a token is exchanged by whom it is addressed to, and by nobody else', async () => {
  const token = await ownFor('agent/a', 'agent/b')
  equal(await codeOf('agent/b', token), 'good')
  equal(await codeOf('agent/c', token), '400 exchange_audience invalid_grant')
  equal(await codeOf('agent/a', token), '400 exchange_audience invalid_grant')
  const forGateway = tokenIn(await ask('agent/a', ownForm(files)))
  equal(await codeOf('agent/b', forGateway), '400 exchange_audience invalid_grant')
  const forAuthority = tokenIn(await ask('agent/a', ownForm(publicUrl)))
  equal(await codeOf('agent/b', forAuthority), '400 exchange_audience invalid_grant')
  const entry = await recorded(({ code }) => code === 'exchange_audience')
  deepEqual([entry['status'], entry['http']], ['failed', 400], JSON.stringify(entry))
})

test('DX-2: what a gateway or a sidecar says of a caller is exchanged by nobody', async () => {
  const own = { issuer: parseSpiffeId(idOf('agent/b')), audience: ownAudience('agent/b'), clock: systemRuntime.wall }
  const sidecar = await Assertions.open(own)
  const subject = parseSpiffeId(idOf('agent/a'))
  const principal = { subject: { kind: 'workload', id: subject }, presenter: subject, act: [], groups: [] }
  const call = { principal, decision: 'a#1' } as object as AssertedCall['call']
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const said: readonly string[] = [
    await sidecar.of({ call, method: 'GET', target: '/v1', body: new Uint8Array(0) }),
    signAssertion(new Secret(privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()), {
      issuer: idOf('doorward/gateway/main'),
      subject: subject.uri,
      audience: ownAudience('agent/b'),
      keyId: null,
      nowSeconds: Math.floor(Date.now() / 1000),
    }),
  ]
  for (const one of said) {
    equal(await codeOf('agent/b', one), '400 exchange_refused invalid_grant')
    const asJwt = { subject_token_type: 'urn:ietf:params:oauth:token-type:jwt' }
    equal(await codeOf('agent/b', one, asJwt), '400 request_invalid invalid_request')
  }
  ok(await recorded(({ code }) => code === 'exchange_refused'))
})

test('RP-3: a token is exchanged as often as its holder has to call, and each exchange is on record with it', async () => {
  const token = await ownFor('agent/a', 'agent/b')
  const made = await Promise.all([files, ownAudience('agent/c'), files].map((to) => passedOn('agent/b', token, to)))
  equal(new Set(made.map((one) => claimsIn(one)['jti'])).size, 3)
  for (const one of made) {
    const entry = await recorded(({ token: id }) => id === claimsIn(one)['jti'])
    equal(entry['shown'], claimsIn(token)['jti'])
  }
})

test('nobody gets a token to act for another at the authority, or for an audience that nobody has', async () => {
  const token = await ownFor('agent/a', 'agent/b')
  for (const audience of [publicUrl, 'https://elsewhere.example', `${files}/`])
    equal(await codeOf('agent/b', token, {}, audience), '400 audience_unknown invalid_target')
})

test('may_act names who may act along the whole chain: others get nothing, and it only gets shorter', async () => {
  const token = await ownFor('agent/a', 'agent/b', { may_act: `${idOf('agent/b')} ${idOf('agent/c')}` })
  const next = await passedOn('agent/b', token, ownAudience('agent/c'))
  deepEqual(claimsIn(next)['may_act'], { sub: [idOf('agent/c')] })
  const last = await passedOn('agent/c', next, ownAudience('agent/d'))
  deepEqual(claimsIn(last)['may_act'], { sub: [] })
  equal(await codeOf('agent/d', last), '400 exchange_actor invalid_grant')
  const elsewhere = await passedOn('agent/b', token, ownAudience('agent/d'))
  equal(await codeOf('agent/d', elsewhere), '400 exchange_actor invalid_grant')
  equal(await codeOf('agent/b', token, { may_act: idOf('agent/d') }), '400 exchange_actor invalid_grant')
  const nobody = await ownFor('agent/a', 'agent/b', { may_act: 'none' })
  equal(await codeOf('agent/b', nobody), '400 exchange_actor invalid_grant')
  for (const wrong of [
    'agent/b',
    `${idOf('agent/b')} ${idOf('agent/b')}`,
    Array.from({ length: 9 }, (_, i) => idOf(`agent/${i}`)).join(' '),
  ])
    equal(
      await codeOf('agent/b', await ownFor('agent/a', 'agent/b'), { may_act: wrong }),
      '400 request_invalid invalid_request',
    )
})

test('DX-4: a scope narrows and never widens, and what cannot be compared is refused', async () => {
  const token = await ownFor('agent/a', 'agent/b', { scope: 'read:files/* tools/call:files/get_*' })
  const kept = await ask('agent/b', exchangeForm(token, ownAudience('agent/c')))
  deepEqual(
    [kept.json()['scope'], claimsIn(tokenIn(kept))['scope']],
    Array(2).fill('read:files/* tools/call:files/get_*'),
  )
  const narrower = await passedOn('agent/b', token, ownAudience('agent/c'), {
    scope: 'read:files/a* tools/call:files/get_a',
  })
  equal(claimsIn(narrower)['scope'], 'read:files/a* tools/call:files/get_a')
  for (const wider of [
    'read',
    '*',
    'write:files/a',
    'read:orders/*',
    'tools/call:files/*',
    'tools/call:files/get_* admin',
  ])
    equal(await codeOf('agent/b', token, { scope: wider }), '400 scope_widened invalid_scope', wider)
  equal(await codeOf('agent/c', narrower, { scope: 'read:files/*' }), '400 scope_widened invalid_scope')
  const everyServer = await ownFor('agent/a', 'agent/b', { scope: 'read' })
  equal(
    claimsIn(await passedOn('agent/b', everyServer, ownAudience('agent/c'), { scope: 'read:files/*' }))['scope'],
    'read:files/*',
  )
  for (const own of ['read:gateway/*', 'read:authority/*'])
    equal(await codeOf('agent/b', everyServer, { scope: own }), '400 scope_widened invalid_scope', own)
  for (const none of ['files:read', 'read  write', 'everything', 'read:files'])
    equal(await codeOf('agent/b', token, { scope: none }), '400 scope_unknown invalid_scope', none)
})

test('DX-5: nobody is in a chain twice, and a chain has four actors at most', async () => {
  const first = await ownFor('agent/a', 'agent/b')
  const back = await passedOn('agent/b', first, ownAudience('agent/a'))
  equal(await codeOf('agent/a', back), '400 exchange_loop invalid_grant')
  const second = await passedOn('agent/b', first, ownAudience('agent/c'))
  const third = await passedOn('agent/c', second, ownAudience('agent/b'))
  equal(await codeOf('agent/b', third), '400 exchange_loop invalid_grant')
  const fourth = await passedOn('agent/c', second, ownAudience('agent/d'))
  const fifth = await passedOn('agent/d', fourth, ownAudience('agent/e'))
  const longest = await passedOn('agent/e', fifth, ownAudience('agent/f'))
  equal(await codeOf('agent/f', longest), '400 exchange_depth invalid_grant')
  equal(await codeOf('agent/e', fifth), 'good')
})

test('a subject token that is not ours, of now, of this epoch and of this trust domain is not exchanged', async () => {
  const sign = await thiefOf(authority.folders)
  const good = claimsIn(await ownFor('agent/a', 'agent/b'))
  const refused = '400 exchange_refused invalid_grant'
  const now = Math.floor(Date.now() / 1000)
  const evil = 'spiffe://evil.example/agent/a'
  const cases: readonly [string, Claims][] = [
    ['good', {}],
    [refused, { iat: now - 301, nbf: now - 361, exp: now - 1 }],
    [refused, { iat: now + 60, nbf: now, exp: now + 300 }],
    [refused, { exp: now + 3600 }],
    [refused, { 'urn:doorward:epoch': -1 }],
    [refused, { 'urn:doorward:epoch': Number(good['urn:doorward:epoch']) - 1 }],
    [refused, { iss: 'https://authority.evil.example' }],
    [refused, { sub: evil, client_id: evil }],
    // Impersonation: a presenter that is not the subject, without act.
    [refused, { client_id: idOf('agent/c') }],
    // A forged chain: no exchange has stamped it.
    [refused, { sub: idOf('agent/d'), act: { sub: idOf('agent/a') } }],
    [refused, { act: { sub: idOf('agent/a') } }],
    ['400 exchange_denied invalid_grant', { cnf: { 'x5t#S256': 'A'.repeat(42) + 'E' } }],
    ['400 exchange_denied invalid_grant', { cnf: { 'x5t#S256': agent('agent/c').read.fingerprint } }],
  ]
  for (const [code, change] of cases)
    equal(await codeOf('agent/b', await sign({ ...good, ...change })), code, JSON.stringify(change))
  const other = await startTestAuthority()
  try {
    const foreign = tokenIn(await askToken(other, await callee(other, 'agent/a'), ownForm(publicUrl)))
    equal(await codeOf('agent/b', foreign), refused)
  } finally {
    await other.stop()
    await removeFolders(other.folders)
  }
  equal(await codeOf('agent/b', 'not.a.token'), refused)
  equal(await codeOf('agent/b', 'x'.repeat(9000)), '400 request_invalid invalid_request')
  equal(
    await codeOf('agent/b', await ownFor('agent/a', 'agent/b'), { actor_token: 'x' }),
    '400 request_invalid invalid_request',
  )
})

test('a person goes along the chain with their groups, and the chain ends with the sign-in', async () => {
  const groups = ['dev', 'ops']
  const signed = await signedIn(authority, agent('agent/a'), { groups })
  const first = tokenIn(await exchangeFor(authority, agent('agent/a'), signed, { resource: ownAudience('agent/b') }))
  const second = claimsIn(await passedOn('agent/b', first, files))
  deepEqual(second['sub'], `${providerUrl}#alice`)
  deepEqual(second['act'], { sub: idOf('agent/b'), act: { sub: idOf('agent/a') } })
  deepEqual(second['urn:doorward:user'], { issuer: providerUrl, subject: 'alice', groups })
  equal((second['urn:doorward:chain'] as readonly Claims[]).length, 1)
  await revoke({ subject: 'user', user: `${providerUrl}#alice` })
  equal(await codeOf('agent/b', first), '400 exchange_denied invalid_grant')
})

test('RV-5: whatever denies a link of the chain ends what it could be exchanged for', async () => {
  const chain = async () => passedOn('agent/d', await ownFor('agent/c', 'agent/d'), ownAudience('agent/b'))
  const [byToken, own, bySerial] = [await chain(), await ownFor('agent/c', 'agent/d'), await chain()]
  equal(await codeOf('agent/b', byToken), 'good')
  const [{ jti }] = claimsIn(byToken)['urn:doorward:chain'] as readonly [Claims]
  await revoke({ subject: 'token', token: jti })
  equal(await codeOf('agent/b', byToken), '400 exchange_denied invalid_grant')
  equal(await codeOf('agent/b', bySerial), 'good')
  await revoke({ subject: 'token', token: claimsIn(own)['jti'] })
  equal(await codeOf('agent/d', own), '400 exchange_denied invalid_grant')
  await revoke({ subject: 'serial', serial: serialOf('agent/c') })
  equal(await codeOf('agent/b', bySerial), '400 exchange_denied invalid_grant')
  const byWorkload = await ownFor('agent/e', 'agent/d')
  const next = await passedOn('agent/d', byWorkload, ownAudience('agent/b'))
  await revoke({ subject: 'workload', id: idOf('agent/e') })
  equal(await codeOf('agent/d', byWorkload), '400 exchange_denied invalid_grant')
  equal(await codeOf('agent/b', next), '400 exchange_denied invalid_grant')
})

test('DX-1: a certificate that is denied exchanges nothing, and another credential beside it is refused', async () => {
  const token = await ownFor('agent/a', 'agent/f')
  equal(await codeOf('agent/f', token), 'good')
  equal(await codeOf('agent/f', token, { client_assertion: 'x' }), '400 request_invalid invalid_request')
  await revoke({ subject: 'workload', id: idOf('agent/f') })
  ok((await codeOf('agent/f', token)).startsWith('401'))
})
