/** Tokens of configured issuers: what is accepted, next to everything that is not; and issuers that are down, slow, lying or gone elsewhere. */

import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { epochMillis } from '@doorward/core'
import type { IssuedToken, IssuedTokenRefusal } from '@doorward/enforcement'
import { openIssuers } from '../../../packages/server/src/apps/issuers.ts'
import type { OpenedIssuers } from '../../../packages/server/src/apps/issuers.ts'
import { parseConfiguration } from '../../../packages/server/src/config/load.ts'
import { deploymentOf, issuerSettings } from '../../../packages/server/src/config/settings.ts'
import { documentServer, forged, keySet, minted, platformKey } from '../../fixtures/platform-issuer.ts'
import type { Claims, DocumentServer, PlatformKey } from '../../fixtures/platform-issuer.ts'

const audience = 'https://gateway.acme.example/mcp/files'
const rsa = platformKey('RS256', 'rsa-1')
const ec = platformKey('ES256', 'ec-1')
let server: DocumentServer
let folder: string

before(async () => {
  server = await documentServer()
  folder = await mkdtemp(join(tmpdir(), 'doorward-issuers-'))
  await writeFile(join(folder, 'ca.pem'), server.ca)
  await writeFile(join(folder, 'secret'), 'client-secret-1', { mode: 0o600 })
})
after(async () => {
  await server.close()
  await rm(folder, { recursive: true, force: true })
})

const metadata = '/.well-known/openid-configuration'
const now = () => Math.floor(Date.now() / 1000)

function publish(...keys: readonly PlatformKey[]): void {
  server.documents.set(metadata, JSON.stringify({ issuer: server.url, jwks_uri: `${server.url}/jwks` }))
  server.documents.set('/jwks', keySet(...keys))
}

function issuersOf(more: object = {}): Promise<OpenedIssuers> {
  const issuer = { issuer: server.url, ca_file: 'ca.pem', allow_private_addresses: true, ...more }
  const text = JSON.stringify({ trust_domain: 'acme.example', issuers: { corp: issuer } })
  const configuration = parseConfiguration(text, 'doorward.yaml')
  const deployment = deploymentOf({ configuration, folder, file: join(folder, 'doorward.yaml') })
  return openIssuers(issuerSettings(deployment), () => epochMillis(Date.now()))
}

function claims(more: Claims = {}): Claims {
  const at = now()
  return { iss: server.url, sub: 'u-1', aud: audience, iat: at, exp: at + 300, client_id: 'host-1', ...more }
}

const typ = { typ: 'at+jwt' }

async function codeOf({ tokens }: OpenedIssuers, text: string, asked = audience): Promise<string> {
  const answer = await tokens.verify(text, asked)
  return 'ok' in answer ? answer.code : 'good'
}

async function accepted({ tokens }: OpenedIssuers, text: string): Promise<IssuedToken> {
  const answer: IssuedToken | IssuedTokenRefusal = await tokens.verify(text, audience)
  assert.ok(!('ok' in answer), JSON.stringify(answer))
  return answer
}

test('a token of a configured issuer names the person, the client, the groups and the key it is bound to', async () => {
  publish(rsa)
  const issuers = await issuersOf({ claims: { groups: '/realm/roles' } })
  const jkt = 'A'.repeat(43)
  const told = { jti: 't-1', scope: 'a b', cnf: { jkt }, acr: 'mfa', amr: ['otp'], auth_time: now() - 9 }
  const token = await accepted(
    issuers,
    await minted(rsa, claims({ ...told, realm: { roles: ['dev', 'dev', 'ops'] } }), typ),
  )
  assert.deepEqual(token.user, { kind: 'user', issuer: server.url, subject: 'u-1', groups: ['dev', 'ops'] })
  assert.deepEqual([token.clientId, token.scopes, token.boundTo, token.id], ['host-1', ['a', 'b'], jkt, 't-1'])
  assert.deepEqual(token.strength, { acr: 'mfa', amr: ['otp'], authTime: told.auth_time })
  const unnamed = await accepted(issuers, await minted(rsa, claims(), typ))
  assert.match(unnamed.id, /^[\w-]{43}$/)
})

test('every algorithm that is configured verifies, and no other one does', async () => {
  const keys = (['RS256', 'PS256', 'ES256', 'ES384', 'EdDSA'] as const).map((alg) => platformKey(alg, alg))
  publish(...keys)
  const every = await issuersOf({ algorithms: keys.map(({ alg }) => alg) })
  const one = await issuersOf({ algorithms: ['ES256'] })
  for (const key of keys) {
    const token = await minted(key, claims(), typ)
    assert.equal(await codeOf(every, token), 'good', key.alg)
    assert.equal(await codeOf(one, token), key.alg === 'ES256' ? 'good' : 'token_algorithm', key.alg)
  }
  for (const alg of ['none', 'HS256', 'RS512', '', null])
    assert.equal(
      await codeOf(every, forged(rsa, claims(), { ...typ, alg, kid: 'RS256' })),
      'token_algorithm',
      String(alg),
    )
  const other = platformKey('RS256', 'RS256')
  assert.equal(await codeOf(every, await minted(other, claims(), typ)), 'token_signature')
  // A key says what it is for: PS256 by the key of RS256 is somebody else's idea.
  const [first] = keys
  assert.equal(await codeOf(every, await minted({ ...first!, alg: 'PS256' }, claims(), typ)), 'token_key_unknown')
})

test('a header that brings or names keys, or changes what is signed, is refused', async () => {
  publish(rsa)
  const issuers = await issuersOf()
  assert.equal(await codeOf(issuers, forged(rsa, claims(), { ...typ, x5t: 'abc' })), 'good')
  for (const name of ['jwk', 'jku', 'x5u', 'x5c', 'crit', 'b64'])
    assert.equal(await codeOf(issuers, forged(rsa, claims(), { ...typ, [name]: [] })), 'token_header', name)
  assert.equal(await codeOf(issuers, forged(rsa, claims(), { ...typ, kid: undefined })), 'token_header')
  for (const type of ['JWT', 'doorward-user+jwt', 'secevent+jwt'])
    assert.equal(await codeOf(issuers, forged(rsa, claims(), { typ: type })), 'token_type', type)
  assert.equal(await codeOf(issuers, forged(rsa, claims(), { typ: undefined })), 'token_type')
  assert.equal(await codeOf(issuers, forged(rsa, claims(), { typ: 'application/at+jwt' })), 'good')
  assert.equal(await codeOf(issuers, forged(rsa, `{"iss":"${server.url}","sub":"a","sub":"b"}`, typ)), 'token_claims')
  assert.equal(await codeOf(issuers, 'a.b'), 'token_malformed')
  assert.equal(await codeOf(issuers, `${forged(rsa, claims(), typ)}=`), 'token_malformed')
  assert.equal(await codeOf(issuers, 'a'.repeat(8193)), 'token_too_large')
})

test('issuer, audience, times and the claims that are required hold exactly', async () => {
  publish(rsa)
  const issuers = await issuersOf({
    claims: { groups: 'groups', require: { tid: 'acme' } },
    other_audiences: ['https://provider.example/userinfo'],
  })
  const good = { tid: 'acme', groups: ['dev'] }
  const at = now()
  const cases: readonly [string, Claims][] = [
    ['good', {}],
    ['good', { aud: [audience, 'https://provider.example/userinfo'] }],
    ['token_audience', { aud: [audience, 'https://other.example'] }],
    ['token_audience', { aud: `${audience}/` }],
    ['token_audience', { aud: [] }],
    ['token_audience', { aud: undefined }],
    ['token_claims', { exp: undefined }],
    ['token_claims', { iat: undefined }],
    ['token_claims', { exp: 1e30 }],
    ['token_claims', { exp: `${at + 60}` }],
    ['token_expired', { iat: at - 400, exp: at - 31 }],
    ['token_lifetime', { exp: at + 5401 }],
    ['token_lifetime', { exp: at }],
    ['token_not_yet_valid', { nbf: at + 60 }],
    ['token_not_yet_valid', { iat: at + 60 }],
    ['token_claims', { tid: 'other' }],
    ['token_claims', { tid: undefined }],
    ['token_claims', { tid: ['acme'] }],
    ['token_claims', { sub: '' }],
    ['token_claims', { sub: 'a\nb' }],
    ['token_claims', { sub: 'x'.repeat(257) }],
    ['token_claims', { sub: 7 }],
    ['token_claims', { groups: Array.from({ length: 65 }, (_, i) => `g${i}`) }],
    ['token_claims', { groups: ['x'.repeat(129)] }],
    ['token_claims', { groups: [7] }],
    ['token_claims', { _claim_names: { groups: 'src1' }, groups: undefined }],
    ['token_claims', { cnf: { 'x5t#S256': 'A'.repeat(43) } }],
    ['token_claims', { cnf: { jkt: 'A'.repeat(43), kid: 'x' } }],
    ['token_claims', { amr: 'otp' }],
  ]
  for (const [code, wrong] of cases)
    assert.equal(await codeOf(issuers, forged(rsa, claims({ ...good, ...wrong }), typ)), code, JSON.stringify(wrong))
  assert.equal(await codeOf(issuers, forged(rsa, claims({ ...good, iss: `${server.url}/` }), typ)), 'token_issuer')
})

test('a prefix takes the groups that count, however many others there are', async () => {
  publish(rsa)
  const issuers = await issuersOf({ claims: { groups: 'groups', group_prefix: 'door:' } })
  const groups = [...Array.from({ length: 200 }, (_, i) => `other:${i}`), 'door:dev']
  const token = await accepted(issuers, await minted(rsa, claims({ groups }), typ))
  assert.deepEqual(token.user.groups, ['door:dev'])
})

test('where the provider cannot name our resources, its own audience counts instead', async () => {
  publish(rsa)
  const issuers = await issuersOf({ audience: 'api://doorward', types: ['JWT'] })
  const token = (aud: string) => forged(rsa, claims({ aud }), { typ: 'JWT' })
  assert.equal(await codeOf(issuers, token('api://doorward')), 'good')
  assert.equal(await codeOf(issuers, token(audience)), 'token_audience')
})

test('keys that rotate are found once, and a provider that is down keeps those that are known', async () => {
  publish(rsa)
  const issuers = await issuersOf({ algorithms: ['RS256', 'ES256'] })
  assert.equal(await codeOf(issuers, await minted(rsa, claims(), typ)), 'good')
  const asked = server.asked.length
  publish(rsa, ec)
  // Asked again at most twice a minute, by whatever many key ids nobody knows.
  for (let i = 0; i < 20; i++)
    assert.equal(await codeOf(issuers, await minted({ ...ec, kid: `nobody-${i}` }, claims(), typ)), 'token_key_unknown')
  assert.ok(server.asked.length - asked <= 2)
  server.documents.clear()
  assert.equal(await codeOf(issuers, await minted(rsa, claims(), typ)), 'good')
})

test('a provider that is down, slow, lying or leads elsewhere is no reason to accept anything', async () => {
  const token = await minted(rsa, claims(), typ)
  const failing = async (arrange: () => void): Promise<string> => {
    publish(rsa)
    arrange()
    const issuers = await issuersOf()
    return codeOf(issuers, token)
  }
  const metadataOf = (more: object) =>
    server.documents.set(metadata, JSON.stringify({ issuer: server.url, jwks_uri: `${server.url}/jwks`, ...more }))
  const arrangements: readonly (() => void)[] = [
    () => server.documents.clear(),
    () => metadataOf({ issuer: `${server.url}/other` }),
    () => metadataOf({ issuer: undefined }),
    () => metadataOf({ jwks_uri: undefined }),
    () => metadataOf({ jwks_uri: 'https://169.254.169.254/latest/meta-data' }),
    () => metadataOf({ jwks_uri: 'https://[fd00:ec2::254]/jwks' }),
    () => metadataOf({ jwks_uri: server.url.replace('https:', 'http:') }),
    () => metadataOf({ jwks_uri: 'file:///etc/passwd' }),
    () => server.documents.set('/jwks', (response) => void response.writeHead(302, { location: '/other' }).end()),
    () => server.documents.set('/jwks', '{"keys":[]}'),
    () => server.documents.set('/jwks', 'x'.repeat(70_000)),
    () => server.documents.set('/jwks', (response) => response.writeHead(200).flushHeaders()),
    () => server.documents.set('/jwks', JSON.stringify({ keys: [rsa.privateKey.export({ format: 'jwk' })] })),
  ]
  for (const [i, arrange] of arrangements.entries()) assert.equal(await failing(arrange), 'issuer_unavailable', `${i}`)
  publish(rsa)
  assert.equal(await codeOf(await issuersOf(), token), 'good')
  const strict = await issuersOf({ allow_private_addresses: false })
  assert.equal(await codeOf(strict, token), 'issuer_unavailable')
})

/** Answers questions about tokens, and remembers how they were asked. */
function introspecting(answer: () => object | null) {
  const asked: { authorization: string | undefined; form: URLSearchParams }[] = []
  server.documents.set('/introspect', (response, request) => {
    let body = ''
    request.on('data', (part) => (body += String(part)))
    request.on('end', () => {
      asked.push({ authorization: request.headers.authorization, form: new URLSearchParams(body) })
      const told = answer()
      response.writeHead(told === null ? 503 : 200, { 'content-type': 'application/json' })
      response.end(JSON.stringify(told))
    })
  })
  return asked
}

const introspection = () => ({
  introspection: { url: `${server.url}/introspect`, client_id: 'door ward', client_secret_file: 'secret' },
})

test('an opaque token is what its issuer says, asked with our own secret, and asked once', async () => {
  publish(rsa)
  const told = { active: true, token_type: 'Bearer', ...claims() }
  const asked = introspecting(() => told)
  const issuers = await issuersOf(introspection())
  const answers = await Promise.all(Array.from({ length: 8 }, () => accepted(issuers, 'opaque-token-1')))
  assert.deepEqual(new Set(answers.map(({ user }) => user.subject)), new Set(['u-1']))
  assert.equal(asked.length, 1)
  assert.equal(asked[0]?.form.get('token'), 'opaque-token-1')
  const basic = Buffer.from('door+ward:client-secret-1').toString('base64')
  assert.equal(asked[0]?.authorization, `Basic ${basic}`)
  assert.equal(await codeOf(issuers, 'opaque-token-1', 'https://other.example'), 'token_audience')
})

test('an opaque token that is not active, ends, or of which nothing can be learnt is refused', async () => {
  publish(rsa)
  let told: object | null = { active: false }
  const asked = introspecting(() => told)
  const issuers = await issuersOf(introspection())
  assert.equal(await codeOf(issuers, 'one'), 'token_inactive')
  assert.equal(await codeOf(issuers, 'one'), 'token_inactive')
  assert.equal(asked.length, 1)
  const wrong: readonly [string, object | null][] = [
    ['token_claims', { active: true, ...claims({ exp: undefined }) }],
    ['token_expired', { active: true, ...claims({ iat: now() - 400, exp: now() - 40 }) }],
    ['token_issuer', { active: true, ...claims({ iss: 'https://other.example' }) }],
    ['token_audience', { active: true, ...claims({ aud: undefined }) }],
    ['token_claims', { active: true, ...claims({ sub: undefined }) }],
    ['issuer_unavailable', { active: 'true' }],
    ['issuer_unavailable', null],
  ]
  for (const [i, [code, answer]] of wrong.entries()) {
    told = answer
    const fresh = await issuersOf(introspection())
    assert.equal(await codeOf(fresh, `token-${i}`), code, JSON.stringify(answer))
  }
  const without = await issuersOf()
  assert.equal(await codeOf(without, 'opaque-token-1'), 'token_malformed')
})

test('an issuer that does not answer is left alone for a moment', async () => {
  publish(rsa)
  const asked = introspecting(() => null)
  const issuers = await issuersOf(introspection())
  for (let i = 0; i < 20; i++) assert.equal(await codeOf(issuers, `token-${i}`), 'issuer_unavailable')
  assert.equal(asked.length, 1)
})
