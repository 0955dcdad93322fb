import { equal, ok } from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import {
  accessTokenHash,
  dpopProblem,
  epochSeconds,
  proofAlgorithms,
  publicJwkThumbprint,
  readDpopProof,
  readPublicJwk,
} from '@doorward/core'
import type { DpopExpectation, DpopProof, JsonObject } from '@doorward/core'
import { sha256 } from '@doorward/sdk'
import { importIssuerKey } from '../../../packages/server/src/issuers/issuer-key-set.ts'
import { jwkThumbprintOf, proofOf, publicOf } from '../../fixtures/dpop-proofs.ts'
import type { ProofParts } from '../../fixtures/dpop-proofs.ts'

const keys = {
  ES256: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey,
  ES384: generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey,
  EdDSA: generateKeyPairSync('ed25519').privateKey,
  RS256: generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey,
}
const check = { algorithms: proofAlgorithms, importKey: importIssuerKey, sha256 }
const now = epochSeconds(1_800_000_000)
const url = 'https://edge.test.example/mcp/notes'

async function proof(change: Partial<ProofParts> = {}): Promise<DpopProof> {
  const text = await proofOf({ key: keys.ES256, method: 'POST', url, token: 'token', iat: now, ...change })
  const read = readDpopProof(text, check)
  ok(read.ok, JSON.stringify(read))
  return read
}

const expected = (change: Partial<DpopExpectation> = {}): DpopExpectation => ({
  method: 'POST',
  url,
  token: 'token',
  boundTo: jwkThumbprintOf(keys.ES256),
  now,
  sha256,
  ...change,
})

test('the examples of RFC 9449: the thumbprint of its key (§6.1) and the hash of its token (§7.1)', () => {
  const jwk = readPublicJwk(
    {
      kty: 'EC',
      x: 'l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs',
      y: '9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA',
      crv: 'P-256',
    },
    'ES256',
  )
  ok(jwk !== null)
  equal(publicJwkThumbprint(jwk, sha256), '0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I')
  const token = 'Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU'
  equal(accessTokenHash(token, sha256), 'fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo')
})

for (const [algorithm, key] of Object.entries(keys))
  test(`a proof by ${algorithm} is read, and names its key`, async () => {
    const { thumbprint, claims } = await proof({ key, nonce: 'n' })
    equal(thumbprint, jwkThumbprintOf(key))
    equal(claims.nonce, 'n')
    equal(dpopProblem({ ok: true, thumbprint, claims }, expected({ boundTo: thumbprint })), null)
  })

test('an algorithm that is not among those of configuration is refused', async () => {
  const text = await proofOf({ key: keys.EdDSA, method: 'POST', url, token: 'token' })
  equal(readDpopProof(text, { ...check, algorithms: ['ES256'] }).ok, false)
})

describe('a key that is read', () => {
  const own = () => publicOf(keys.ES256)
  const cases: readonly (readonly [string, JsonObject, boolean])[] = [
    ['is public', own(), true],
    ['may say what it is for', { ...own(), use: 'sig', alg: 'ES256', key_ops: ['verify'], kid: 'k', ext: true }, true],
    ['is not private', { ...own(), d: 'AA' }, false],
    ['is not for another algorithm', { ...own(), alg: 'ES384' }, false],
    ['is not for encryption', { ...own(), use: 'enc' }, false],
    ['is not for signing alone', { ...own(), key_ops: ['sign'] }, false],
    ['has no member that is not known', { ...own(), x5u: 'https://evil' }, false],
    ['is on the curve of the algorithm', publicOf(keys.ES384), false],
    ['has whole coordinates', { ...own(), x: 'AA' }, false],
    ['is in canonical form', { ...own(), x: `${own()['x']}=` }, false],
    ['is not symmetric', { kty: 'oct', k: 'AA' }, false],
  ]
  for (const [what, jwk, good] of cases) test(what, () => equal(readPublicJwk(jwk, 'ES256') !== null, good))

  test('is of a size that is accepted', () => {
    const small = publicOf(generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey)
    const jwk = readPublicJwk(small, 'RS256')
    ok(jwk !== null)
    equal(importIssuerKey('RS256', jwk), null)
  })
})

describe('the URL of a proof', () => {
  const cases: readonly (readonly [string, boolean])[] = [
    [url, true],
    ['HTTPS://EDGE.test.example:443/mcp/notes', true],
    [`${url}?a=b`, true],
    [`${url}#a`, true],
    ['https://edge.test.example:8443/mcp/notes', false],
    ['https://edge.test.example/mcp/Notes', false],
    ['https://edge.test.example/mcp/notes/', false],
    ['https://edge.test.example/mcp/../mcp/notes', false],
    ['https://edge.test.example/mcp/%6Eotes', false],
    ['https://edge.test.example.evil/mcp/notes', false],
    ['https://a@edge.test.example/mcp/notes', false],
    [String.raw`https://edge.test.example\mcp\notes`, false],
    ['http://edge.test.example/mcp/notes', false],
    ['//edge.test.example/mcp/notes', false],
    ['/mcp/notes', false],
    ['x', false],
  ]
  for (const [htu, good] of cases)
    test(`${JSON.stringify(htu)}: ${good ? 'is this one' : 'is another'}`, async () => {
      equal(dpopProblem(await proof({ url: htu }), expected()) === null, good)
    })
})

test('the time of a proof is within a minute of now, or within five with a nonce', async () => {
  for (const [seconds, nonce, good] of [
    [60, null, true],
    [-60, null, true],
    [61, null, false],
    [-61, null, false],
    [300, 'n', true],
    [-300, 'n', true],
    [301, 'n', false],
    [-301, 'n', false],
  ] as const)
    equal(
      dpopProblem(await proof({ nonce }), expected({ now: epochSeconds(now + seconds) })) === null,
      good,
      `${seconds}`,
    )
})

test('method, token and key are those of the request, to the letter', async () => {
  const read = await proof()
  equal(dpopProblem(read, expected()), null)
  for (const change of [{ method: 'post' }, { method: 'GET' }, { token: 'Token' }, { boundTo: 'x' }, { boundTo: '' }])
    ok(dpopProblem(read, expected(change)) !== null, JSON.stringify(change))
})

test('whatever is not a proof is refused, and nothing throws', async () => {
  const good = await proofOf({ key: keys.ES256, method: 'POST', url, token: 'token' })
  ok(readDpopProof(good, check).ok)
  fc.assert(
    fc.property(fc.nat(good.length - 1), fc.constantFrom(...Array.from('AZaz09-_.=+/ "')), (at, letter) => {
      if (good[at] === letter) return
      equal(readDpopProof(`${good.slice(0, at)}${letter}${good.slice(at + 1)}`, check).ok, false)
    }),
  )
  fc.assert(fc.property(fc.string(), (text) => equal(readDpopProof(text, check).ok, false)))
})
