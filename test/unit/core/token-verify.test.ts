import assert from 'node:assert/strict'
import type { KeyObject } from 'node:crypto'
import { before, describe, test } from 'node:test'
import fc from 'fast-check'
import * as jose from 'jose'
import {
  boundToCertificate,
  epochClaim,
  epochSeconds,
  isDoorwardError,
  keySetOf,
  mintToken,
  verifyToken,
} from '@doorward/core'
import type { AccessTokenClaims } from '@doorward/core'
import { generateP256, importP256 } from '@doorward/sdk'
import {
  fingerprint,
  forge,
  goodClaims,
  goodHeader,
  kid,
  makeSigner,
  now,
  verdictOf,
  delegated,
} from './token-fixture.ts'
import type { Signer } from './token-fixture.ts'

let signer: Signer
let key: KeyObject
let good: string

before(async () => {
  signer = await makeSigner()
  key = signer.key.privateKey
  good = await mintToken(goodClaims, { kid, signKey: signer.key.signKey })
})

describe('what an accepted token says', () => {
  test('is what was minted', () => {
    assert.deepEqual(verifyToken(good, signer.check), { ok: true, claims: goodClaims, keyId: kid })
  })
  test('members in any order and with whitespace are accepted', () => {
    const turned = Object.fromEntries(Object.entries(goodClaims).reverse())
    assert.equal(
      verdictOf(forge({ kid, typ: 'at+jwt', alg: 'ES256' }, JSON.stringify(turned, null, 2), key), signer.check),
      'accepted',
    )
  })
  test('four actors are accepted and five are not', () => {
    const at = (depth: number) =>
      verdictOf(forge(goodHeader, { ...goodClaims, ...delegated({}, depth) }, key), signer.check)
    assert.deepEqual([1, 2, 3, 4, 5].map(at), ['accepted', 'accepted', 'accepted', 'accepted', 'token_claims'])
  })
  test('leeway is 30 s to either side', () => {
    const at = (seconds: number) => verdictOf(good, { ...signer.check, now: epochSeconds(now + seconds) })
    assert.equal(at(329), 'accepted')
    assert.equal(at(330), 'token_expired')
    assert.equal(at(-30), 'accepted')
    assert.equal(at(-31), 'token_not_yet_valid')
    assert.equal(verdictOf(good, { ...signer.check, now: epochSeconds(now + 300), leewaySeconds: 0 }), 'token_expired')
  })
  test('a later epoch than the one known here is accepted', () => {
    assert.equal(verdictOf(forge(goodHeader, { ...goodClaims, [epochClaim]: 8 }, key), signer.check), 'accepted')
  })
  test('a connection without certificate binds nothing', () => {
    assert.equal(boundToCertificate({ 'x5t#S256': '' }, ''), false)
    assert.equal(boundToCertificate({ 'x5t#S256': fingerprint }, fingerprint), true)
  })
})

describe('mutations', () => {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ \n"{}'
  test('no other text of the same length is accepted', () => {
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.constantFrom(...alphabet.split('')), (at, letter) => {
        const mutant = good.slice(0, at) + letter + good.slice(at + 1)
        return mutant === good || verdictOf(mutant, signer.check) !== 'accepted'
      }),
      { numRuns: 1000 },
    )
  })
  test('insertions, deletions and arbitrary texts are never accepted and never throw', () => {
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.string({ maxLength: 5, unit: 'binary' }), fc.nat(5), (at, text, cut) => {
        const mutant = good.slice(0, at) + text + good.slice(at + cut)
        return mutant === good || verdictOf(mutant, signer.check) !== 'accepted'
      }),
      { numRuns: 500 },
    )
    fc.assert(
      fc.property(
        fc.string({ maxLength: 300, unit: 'binary' }),
        (text) => verdictOf(text, signer.check) !== 'accepted',
      ),
      { numRuns: 300 },
    )
  })
  test('any JSON in place of a claim is accepted only when it is the same value', () => {
    const names = Object.keys(goodClaims) as (keyof AccessTokenClaims)[]
    fc.assert(
      fc.property(fc.constantFrom(...names), fc.jsonValue({ maxDepth: 2 }), (name, value) => {
        const text = JSON.stringify({ ...goodClaims, [name]: value })
        const verdict = verifyToken(forge(goodHeader, text, key), signer.check)
        return !verdict.ok || typeof value === typeof goodClaims[name]
      }),
      { numRuns: 200 },
    )
  })
})

describe('jose as an oracle', () => {
  test('jose accepts what we mint', async () => {
    const { payload, protectedHeader } = await jose.jwtVerify(
      good,
      await jose.importJWK({ ...signer.key.jwk }, 'ES256'),
      {
        algorithms: ['ES256'],
        issuer: goodClaims.iss,
        audience: goodClaims.aud,
        typ: 'at+jwt',
        currentDate: new Date(now * 1000),
        requiredClaims: ['exp', 'nbf', 'iat', 'jti', 'sub'],
      },
    )
    assert.deepEqual(payload, goodClaims)
    assert.deepEqual(protectedHeader, goodHeader)
  })
  test('we accept what jose mints', async () => {
    const token = await new jose.SignJWT({ ...goodClaims }).setProtectedHeader(goodHeader).sign(key)
    assert.deepEqual(verifyToken(token, signer.check), { ok: true, claims: goodClaims, keyId: kid })
  })
})

describe('minting', () => {
  const refused = (change: object) =>
    assert.rejects(mintToken({ ...goodClaims, ...change }, { kid, signKey: signer.key.signKey }), (error) =>
      isDoorwardError(error, 'token_claims_invalid'),
    )
  test('claims that would be refused are not signed', async () => {
    await refused({ jti: '' })
    await refused({ exp: now + 301 })
    await refused({ exp: now })
    await refused({ roles: ['admin'] })
    await refused({ aud: ['a'] })
    await refused({ iat: now + 0.5 })
    await refused({ sub: 's'.repeat(2000), client_id: 'c'.repeat(2000) })
    await assert.rejects(mintToken(goodClaims, { kid: '', signKey: signer.key.signKey }), (error) =>
      isDoorwardError(error, 'token_claims_invalid'),
    )
  })
})

describe('the key set', () => {
  test('a prepared key verifies nothing; published, active and retired keys do', async () => {
    const { jwk } = await generateP256()
    const states = ['prepared', 'published', 'active', 'retired'] as const
    const set = keySetOf(
      states.map((state) => ({ kid: state, state, jwk })),
      importP256,
    )
    assert.deepEqual([...set.keys()], ['published', 'active', 'retired'])
  })
  test('a point off the curve and a repeated id are errors', async () => {
    const { jwk } = await generateP256()
    const invalid = (error: unknown) => isDoorwardError(error, 'token_key_invalid')
    assert.throws(() => keySetOf([{ kid: 'a', state: 'active', jwk: { ...jwk, y: jwk.x } }], importP256), invalid)
    assert.throws(
      () =>
        keySetOf(
          [
            { kid: 'a', state: 'active', jwk },
            { kid: 'a', state: 'retired', jwk },
          ],
          importP256,
        ),
      invalid,
    )
  })
  test('a key under another id does not verify', async () => {
    const keys = keySetOf([{ kid: 'other', state: 'active', jwk: signer.key.jwk }], importP256)
    assert.equal(verdictOf(good, { ...signer.check, keys }), 'token_key_unknown')
  })
})
