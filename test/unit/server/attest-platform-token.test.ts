/** Tokens of platforms: what grammar, header and claims are accepted, each next to what is not. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { claimAt, epochSeconds, judgePlatformClaims, readPlatformToken } from '@doorward/core'
import type { JsonObject } from '@doorward/core'
import { readIssuerKeySet, keyName } from '../../../packages/server/src/issuers/issuer-key-set.ts'
import {
  forged,
  githubClaims,
  gitlabClaims,
  keySet,
  kubernetesClaims,
  minted,
  platformKey,
  publicJwk,
} from '../../fixtures/platform-issuer.ts'
import type { Claims, PlatformKey } from '../../fixtures/platform-issuer.ts'

const rsa = platformKey('RS256', 'rsa-1')
const ec = platformKey('ES256', 'ec-1')
const ed = platformKey('EdDSA', 'ed-1')
const now = () => Math.floor(Date.now() / 1000)

function codeOf(text: string): string {
  const read = readPlatformToken(text)
  return 'ok' in read ? read.code : 'good'
}

function opens(text: string, key: PlatformKey): boolean {
  const read = readPlatformToken(text)
  const set = readIssuerKeySet(Buffer.from(keySet(key)), [key.alg])
  const held = set.get(keyName(key.alg, key.kid))
  return !('ok' in read) && held !== undefined && read.open(held) !== null
}

function judged(claims: Claims, more: Partial<Parameters<typeof judgePlatformClaims>[1]> = {}): string {
  const expected = {
    issuer: String(claims['iss']),
    audience: 'doorward-acme',
    maxLifetimeSeconds: 3600,
    now: epochSeconds(now()),
    ...more,
  }
  return judgePlatformClaims(claims as JsonObject, expected)?.code ?? 'good'
}

test('tokens as Kubernetes, GitHub and GitLab mint them are read and open under their key', async () => {
  const header = { typ: 'JWT', x5t: 'aGVsbG8' }
  assert.ok(opens(await minted(rsa, githubClaims(), header), rsa))
  assert.ok(opens(await minted(rsa, kubernetesClaims()), rsa))
  assert.ok(opens(await minted(ec, gitlabClaims(), { typ: 'JWT' }), ec))
  assert.ok(opens(await minted(ed, gitlabClaims()), ed))
})

test('the algorithm is one of three, whatever the header says', () => {
  for (const alg of ['none', 'None', 'HS256', 'RS384', 'PS256', 'ES384', '', 7, null, ['RS256']])
    assert.equal(codeOf(forged(rsa, githubClaims(), { alg })), 'token_algorithm', String(alg))
})

test('a header that brings or names a key, or asks for what is not understood, is refused', () => {
  for (const name of ['jku', 'jwk', 'x5u', 'x5c', 'crit', 'b64', 'zip', 'cty', 'x5t#S256'])
    assert.equal(codeOf(forged(rsa, githubClaims(), { [name]: 'x' })), 'token_header', name)
  for (const kid of [undefined, '', 7, ['a'], 'k'.repeat(257)])
    assert.equal(codeOf(forged(rsa, githubClaims(), { kid })), 'token_header', String(kid))
  for (const typ of ['at+jwt', 'JOSE', 'jwt', 7])
    assert.equal(codeOf(forged(rsa, githubClaims(), { typ })), 'token_type', String(typ))
})

test('three parts of strict base64url, 8 KiB at most, strict JSON inside', () => {
  const good = forged(rsa, githubClaims())
  const [header = '', payload = '', signature = ''] = good.split('.')
  assert.equal(codeOf(good), 'good')
  for (const text of [
    '',
    '.',
    `${header}.${payload}`,
    `${good}.x`,
    `${header}.${payload}.`,
    `${good}=`,
    ` ${good}`,
    `${header}.${payload}.${signature} `,
  ])
    assert.equal(codeOf(text), 'token_malformed', text.slice(-20))
  assert.equal(codeOf(forged(rsa, { ...githubClaims(), filler: 'x'.repeat(8192) })), 'token_too_large')
  const text = JSON.stringify(githubClaims())
  for (const claims of [
    `${text.slice(0, -1)},"iss":"https://other.example"}`,
    `${text} x`,
    '[]',
    '{}',
    '{"iss":7}',
    '{"__proto__":{},"iss":"x"}',
  ])
    assert.equal(codeOf(forged(rsa, claims)), 'token_claims', claims.slice(-30))
})

test('a signature by another key, over other claims, or of another algorithm does not open', async () => {
  const good = await minted(rsa, githubClaims())
  const [header, , signature] = good.split('.')
  const other = Buffer.from(JSON.stringify(githubClaims({ repository: 'evil/app' }))).toString('base64url')
  assert.ok(opens(good, rsa))
  assert.ok(!opens(`${header}.${other}.${signature}`, rsa))
  assert.ok(!opens(good, platformKey('RS256', 'rsa-1')))
  const short = await minted(ec, githubClaims())
  assert.ok(!opens(short.slice(0, -4), ec))
})

test('claims: issuer and audience exactly, the audience alone or in a list of one', () => {
  assert.equal(judged(githubClaims()), 'good')
  assert.equal(judged(githubClaims({ aud: ['doorward-acme'] })), 'good')
  for (const aud of [
    'doorward',
    'Doorward-acme',
    'doorward-acme/',
    ['doorward-acme', 'other'],
    [],
    ['other'],
    [['doorward-acme']],
    undefined,
    7,
    { 0: 'doorward-acme' },
  ])
    assert.equal(judged(githubClaims({ aud })), 'token_audience', JSON.stringify(aud))
  for (const iss of [
    'https://token.actions.githubusercontent.com/',
    'https://TOKEN.actions.githubusercontent.com',
    7,
    undefined,
  ])
    assert.equal(
      judged(githubClaims({ iss }), { issuer: 'https://token.actions.githubusercontent.com' }),
      'token_issuer',
      String(iss),
    )
})

test('claims: exp, nbf and iat are there, in whole seconds, in order, and the life is no longer than accepted', () => {
  const at = now()
  for (const name of ['exp', 'nbf', 'iat'])
    for (const value of [undefined, null, String(at), at + 0.5, -1, 1e300, [at]])
      assert.equal(judged(githubClaims({ [name]: value })), 'token_claims', `${name} ${JSON.stringify(value)}`)
  assert.equal(judged(githubClaims({ iat: at, exp: at + 3601 })), 'token_lifetime')
  assert.equal(judged(githubClaims({ iat: at, exp: at + 3601 }), { maxLifetimeSeconds: 7200 }), 'good')
  assert.equal(judged(githubClaims({ iat: at, exp: at })), 'token_lifetime')
  assert.equal(judged(githubClaims({ nbf: at + 300 })), 'token_lifetime')
})

test('claims: expired and not yet valid tokens are refused, with half a minute of leeway', () => {
  const at = now()
  assert.equal(judged(githubClaims({ iat: at - 329, exp: at - 29 })), 'good')
  assert.equal(judged(githubClaims({ iat: at - 331, exp: at - 31 })), 'token_expired')
  assert.equal(judged(githubClaims({ nbf: at + 29 })), 'good')
  assert.equal(judged(githubClaims({ nbf: at + 40 })), 'token_not_yet_valid')
  assert.equal(judged(githubClaims({ iat: at + 40 })), 'token_not_yet_valid')
})

test('a claim is found by its name, or by a JSON Pointer into objects', () => {
  const claims = {
    'kubernetes.io': { namespace: 'agents', list: ['a'] },
    'a/b': { 'c~d': 'x' },
    sub: 's',
  } as JsonObject
  const found = ['sub', '/sub', '/kubernetes.io/namespace', '/a~1b/c~0d'].map((name) => claimAt(claims, name))
  assert.deepEqual(found, ['s', 's', 'agents', 'x'])
  for (const name of [
    'kubernetes.io.namespace',
    '/kubernetes.io/list/0',
    '/sub/length',
    '/toString',
    'toString',
    '/',
    '',
    '/kubernetes.io/none',
  ])
    assert.equal(claimAt(claims, name), undefined, name)
})

test('a key set: public signature keys of accepted algorithms, each id once', () => {
  const read = (document: unknown, algorithms = ['RS256', 'ES256', 'EdDSA'] as const) => [
    ...readIssuerKeySet(Buffer.from(JSON.stringify(document)), algorithms).keys(),
  ]
  const keys = [rsa, ec, ed].map(publicJwk)
  assert.deepEqual(read({ keys }), ['RS256 rsa-1', 'ES256 ec-1', 'EdDSA ed-1'])
  const { alg, ...silent } = publicJwk(rsa)
  assert.equal(alg, 'RS256')
  const left = [
    { kty: 'oct', k: undefined, kid: 'x' },
    { ...silent, kid: undefined },
    { ...silent, use: 'enc', kid: 'y' },
    { ...silent, alg: 'RS512', kid: 'z' },
  ]
  assert.deepEqual(read({ keys: [silent, ...left], extra: 1 }), ['RS256 rsa-1'])
  const weak = { ...publicJwk(rsa), kid: 'weak', n: 'AQAB' }
  assert.deepEqual(read({ keys: [...keys, weak] }), ['RS256 rsa-1', 'ES256 ec-1', 'EdDSA ed-1'])
  const refused = [
    { keys: [] },
    { keys: [weak] },
    { keys: [...keys, publicJwk(rsa)] },
    { keys: [{ ...publicJwk(ec), d: 'AAAA' }] },
    { keys: Array.from({ length: 65 }, (_, i) => ({ ...silent, kid: `${i}` })) },
    { keys: {} },
    [],
    'x',
  ]
  for (const document of refused)
    assert.throws(() => read(document), { code: 'issuer_keys_invalid' }, JSON.stringify(document).slice(0, 40))
  assert.throws(() => readIssuerKeySet(Buffer.from(`{"keys":[],"keys":[]}`), ['RS256']), {
    code: 'issuer_keys_invalid',
  })
})

test('a token with any one character changed, left out or put in does not open', async () => {
  const good = await minted(ec, githubClaims(), { typ: 'JWT' })
  const place = fc.integer({ min: 0, max: good.length - 1 })
  const character = fc.constantFrom(...'AZaz09-_.=+/ \n\u0000é'.split(''))
  const change = fc.constantFrom('replace', 'insert', 'remove')
  fc.assert(
    fc.property(place, character, change, (at, put, how) => {
      const rest = how === 'insert' ? good.slice(at) : good.slice(at + 1)
      const text = `${good.slice(0, at)}${how === 'remove' ? '' : put}${rest}`
      assert.ok(text === good || !opens(text, ec), text)
    }),
    { numRuns: 1000 },
  )
})
