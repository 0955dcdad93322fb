import assert from 'node:assert/strict'
import { constants, createHmac, generateKeyPairSync, sign, verify } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { before, describe, test } from 'node:test'
import fc from 'fast-check'
import * as jose from 'jose'
import {
  encodeTrustBundle,
  epochSeconds,
  isDoorwardError,
  jwtSvidAlgorithms,
  jwtSvidKeysOf,
  keySetOf,
  mintJwtSvid,
  mintToken,
  parseTrustBundle,
  toBase64url,
  utf8,
  verifyJwtSvid,
} from '@doorward/core'
import type { JwtSvidAlgorithm, JwtSvidCheck, JwtSvidClaims, JwtSvidKey } from '@doorward/core'
import { generateP256, importP256, sha256 } from '@doorward/sdk'
import type { P256KeyPair } from '@doorward/sdk'
import { forge, goodClaims, kid, now, verdictOf } from './token-fixture.ts'

const header = { alg: 'ES256', typ: 'JWT', kid }
const claims: JwtSvidClaims = {
  sub: 'spiffe://example.org/agent/planner',
  aud: 'https://reports.example.org',
  iat: now,
  exp: epochSeconds(now + 300),
}

let pair: P256KeyPair
let key: KeyObject
let check: JwtSvidCheck
let good: string

before(async () => {
  pair = await generateP256()
  key = pair.privateKey
  check = { audience: claims.aud, trustDomain: 'example.org', keys: [keyOf(pair, kid)], now }
  good = await mintJwtSvid(claims, { kid, signKey: pair.signKey })
})

function keyOf({ jwk }: P256KeyPair, name: string): JwtSvidKey {
  return { kid: name, algorithm: 'ES256', key: importP256(jwk)! }
}

/** `accepted` or the code. */
function verdict(text: string, change: Partial<JwtSvidCheck> = {}): string {
  const result = verifyJwtSvid(text, { ...check, ...change })
  return result.ok ? 'accepted' : result.code
}

const withHeader = (change: object) => verdict(forge({ ...header, ...change }, claims, key))
const withClaims = (change: object) => verdict(forge(header, { ...claims, ...change }, key))

describe('JW-1: a JWT-SVID is a compact JWS', () => {
  test('of three parts that each re-encode to themselves, within 4 KiB', () => {
    assert.equal(verdict(good), 'accepted')
    const [head = '', body = '', signature = ''] = good.split('.')
    const json = JSON.stringify({ payload: body, protected: head, signature })
    const others = [
      json,
      `${head}.${body}`,
      `${good}.`,
      `${good}.${signature}`,
      `.${body}.${signature}`,
      `${good}=`,
      '',
    ]
    assert.deepEqual(
      others.map((text) => verdict(text)),
      others.map(() => 'token_malformed'),
    )
    assert.equal(withClaims({ note: 'x'.repeat(4096) }), 'token_too_large')
  })
  test('of which no other text of the same length is accepted', () => {
    const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ \n"{}'.split('')
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.constantFrom(...letters), (at, letter) => {
        const mutant = good.slice(0, at) + letter + good.slice(at + 1)
        return mutant === good || verdict(mutant) !== 'accepted'
      }),
      { numRuns: 600 },
    )
  })
  test('and arbitrary texts are refused without throwing', () => {
    const text = fc.string({ maxLength: 300, unit: 'binary' })
    fc.assert(
      fc.property(text, (value) => verdict(value) !== 'accepted'),
      { numRuns: 300 },
    )
  })
})

describe('JW-2: the header has alg, kid and typ alone', () => {
  test('JW-2: no algorithm but the listed ones, whatever else is wrong', () => {
    const odd = [
      'none',
      'None',
      'HS256',
      'HS512',
      'EdDSA',
      'Ed25519',
      'ES256K',
      'es256',
      'ML-DSA-65',
      '',
      null,
      1,
      ['ES256'],
    ]
    assert.deepEqual(
      odd.map((alg) => withHeader({ alg, typ: 'at+jwt', crit: ['x'] })),
      odd.map(() => 'token_algorithm'),
    )
    assert.equal(verdict(forge({ typ: 'JWT', kid }, claims, key)), 'token_algorithm')
  })
  test('JW-2: a public key is no secret of an HMAC', () => {
    const input = `${toBase64url(utf8(JSON.stringify({ ...header, alg: 'HS256' })))}.${good.split('.')[1]}`
    const mac = new Uint8Array(createHmac('sha256', pair.spki).update(input).digest())
    assert.equal(verdict(`${input}.${toBase64url(mac)}`), 'token_algorithm')
  })
  test('JW-2: typ is JWT, JOSE or absent', () => {
    assert.equal(withHeader({ typ: 'JOSE' }), 'accepted')
    assert.equal(withHeader({ typ: undefined }), 'accepted')
    const odd = ['jwt', 'at+jwt', 'wit+jwt', 'txntoken+jwt', 'dpop+jwt', 'application/JWT', '', null, 7]
    assert.deepEqual(
      odd.map((typ) => withHeader({ typ })),
      odd.map(() => 'token_type'),
    )
  })
  test('JW-2: nothing else is in it, least of all a key or where to find one', () => {
    const more = [
      { jwk: {} },
      { jku: 'https://x.test' },
      { x5c: [] },
      { x5u: 'x' },
      { crit: [] },
      { b64: false },
      { zip: 'DEF' },
    ]
    assert.deepEqual(
      more.map((member) => withHeader(member)),
      more.map(() => 'token_header'),
    )
    assert.equal(verdict(forge(`{"alg":"ES256","alg":"ES256","kid":"${kid}"}`, claims, key)), 'token_malformed')
  })
  test('JW-2: each listed algorithm is verified by a key of that algorithm, and by no other key', () => {
    const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
    for (const algorithm of Object.keys(jwtSvidAlgorithms) as JwtSvidAlgorithm[]) {
      const { token, key: own } = foreign(algorithm, rsa)
      const others = Object.keys(jwtSvidAlgorithms).filter((name) => name !== algorithm) as JwtSvidAlgorithm[]
      assert.equal(verdict(token, { keys: [own] }), 'accepted', algorithm)
      const relabelled = others.map((name) => ({ ...own, algorithm: name }))
      for (const wrong of relabelled) assert.equal(verdict(token, { keys: [wrong] }), 'token_key_unknown')
    }
  })
})

/** A token of another issuer and the key that verifies it. */
function foreign(
  algorithm: JwtSvidAlgorithm,
  rsa: { readonly privateKey: KeyObject; readonly publicKey: KeyObject },
): { readonly token: string; readonly key: JwtSvidKey } {
  const curves: Readonly<Record<string, string>> = { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' }
  const namedCurve = curves[algorithm]
  const { privateKey, publicKey } = namedCurve === undefined ? rsa : generateKeyPairSync('ec', { namedCurve })
  const padding = algorithm.startsWith('PS') ? constants.RSA_PKCS1_PSS_PADDING : constants.RSA_PKCS1_PADDING
  const how =
    namedCurve === undefined
      ? { padding, saltLength: Number(algorithm.slice(2)) / 8 }
      : { dsaEncoding: 'ieee-p1363' as const }
  const digest = `sha${algorithm.slice(2)}`
  const input = [{ ...header, alg: algorithm }, claims].map((part) => toBase64url(utf8(JSON.stringify(part)))).join('.')
  const signature = new Uint8Array(sign(digest, utf8(input), { key: privateKey, ...how }))
  const verifies = (data: Uint8Array, given: Uint8Array) => verify(digest, data, { key: publicKey, ...how }, given)
  return { token: `${input}.${toBase64url(signature)}`, key: { kid, algorithm, key: { verify: verifies } } }
}

describe('JW-3: subject, audience and end', () => {
  test('JW-3: sub is a SPIFFE ID of the trust domain, with a path', () => {
    const texts = [
      undefined,
      null,
      7,
      '',
      'planner',
      'https://example.org/a',
      'spiffe://example.org',
      'spiffe://EXAMPLE.org/a',
    ]
    assert.deepEqual(
      [...texts, 'spiffe://example.org/a/', 'spiffe://example.org/a?b'].map((sub) => withClaims({ sub })),
      [...texts, 1, 2].map(() => 'token_claims'),
    )
    assert.equal(withClaims({ sub: 'spiffe://other.org/agent/planner' }), 'token_subject')
    assert.equal(verdict(good, { trustDomain: 'other.org' }), 'token_subject')
  })
  test('JW-3: aud names the validator, alone or among others', () => {
    assert.equal(withClaims({ aud: ['https://other.org', claims.aud] }), 'accepted')
    const elsewhere = ['https://other.org', [`${claims.aud}/`], claims.aud.toUpperCase(), ['x', 'y']]
    assert.deepEqual(
      elsewhere.map((aud) => withClaims({ aud })),
      elsewhere.map(() => 'token_audience'),
    )
    const malformed = [
      undefined,
      null,
      '',
      [],
      [claims.aud, 7],
      [claims.aud, ''],
      { 0: claims.aud },
      Array.from({ length: 33 }, () => 'a'),
    ]
    assert.deepEqual(
      malformed.map((aud) => withClaims({ aud })),
      malformed.map(() => 'token_claims'),
    )
  })
  test('JW-3: exp is there and not past; nbf and iat hold when they are there', () => {
    const malformed = [undefined, null, String(claims.exp), -1, claims.exp + 0.5, 1e300]
    assert.deepEqual(
      malformed.map((exp) => withClaims({ exp })),
      malformed.map(() => 'token_claims'),
    )
    const at = (seconds: number, change: object = {}) =>
      verdict(forge(header, { ...claims, ...change }, key), { now: epochSeconds(now + seconds) })
    assert.deepEqual([at(329), at(330)], ['accepted', 'token_expired'])
    assert.deepEqual([at(-30), at(-31), at(-31, { iat: undefined })], ['accepted', 'token_not_yet_valid', 'accepted'])
    assert.deepEqual([at(0, { nbf: now + 30 }), at(0, { nbf: now + 31 })], ['accepted', 'token_not_yet_valid'])
    const odd = [withClaims({ nbf: 'x' }), withClaims({ nbf: null }), withClaims({ iat: 0.5 })]
    assert.deepEqual(odd, ['token_claims', 'token_claims', 'token_claims'])
    assert.equal(verdict(good, { now: claims.exp, leewaySeconds: 0 }), 'token_expired')
  })
  test('JW-3, TR-8: a claim that stands twice is refused, as is a payload that is no object', () => {
    const twice = JSON.stringify(claims).replace('{', '{"sub":"spiffe://example.org/agent/admin",')
    assert.equal(verdict(forge(header, twice, key)), 'token_claims')
    assert.deepEqual(
      ['[]', '"x"', 'null', '', '{'].map((text) => verdict(forge(header, `${text} `, key))),
      Array.from({ length: 5 }, () => 'token_claims'),
    )
  })
  test('JW-3: we mint one audience, for five minutes at most', async () => {
    const refused = (change: object, name = kid) =>
      assert.rejects(mintJwtSvid({ ...claims, ...change }, { kid: name, signKey: pair.signKey }), (error) =>
        isDoorwardError(error, 'token_claims_invalid'),
      )
    await refused({ aud: [claims.aud] })
    await refused({ exp: now + 301 })
    await refused({ exp: now })
    await refused({ iat: undefined })
    await refused({ nbf: claims.exp })
    await refused({ sub: 'planner' })
    await refused({ note: 'x'.repeat(4096) })
    await refused({}, '')
  })
})

test('JW-4, RP-3: other claims are handed on as they are, and a token is good again until it ends', async () => {
  const more = {
    jti: 'once',
    cnf: { 'x5t#S256': 'A' },
    act: { sub: 'spiffe://example.org/agent/other' },
    'urn:x': [1, null],
  }
  const token = await mintJwtSvid({ ...claims, ...more }, { kid, signKey: pair.signKey })
  const first = verifyJwtSvid(token, check)
  assert.ok(first.ok)
  assert.deepEqual(first.svid.claims, { ...claims, ...more })
  assert.deepEqual(verifyJwtSvid(token, check), first)
})

describe('JW-6: keys come from entries of the use jwt-svid with a kid', () => {
  test('JW-6, WI-6: and no other entry of the bundle verifies anything', () => {
    const entry = { use: 'jwt-svid', kid, ...pair.jwk }
    const read = (entries: readonly object[]) => {
      const bundle = parseTrustBundle(utf8(JSON.stringify({ keys: entries })), { sha256 })
      return jwtSvidKeysOf(bundle!, importP256)
    }
    assert.equal(verdict(good, { keys: read([entry]) }), 'accepted')
    const others = [
      [],
      [{ ...entry, use: 'x509-svid' }],
      [{ ...entry, use: 'wit-svid' }],
      [{ ...entry, use: 'sig' }],
      [{ ...entry, use: undefined }],
      [{ ...entry, kid: undefined }],
      [{ ...entry, kid: 'another' }],
    ]
    assert.deepEqual(
      others.map((entries) => verdict(good, { keys: read(entries) })),
      others.map(() => 'token_key_unknown'),
    )
  })
  test('JW-6: what we publish verifies what we mint', () => {
    const text = encodeTrustBundle({ sequence: 1n, refreshHintSeconds: 60, x509: [], jwt: [{ kid, jwk: pair.jwk }] })
    const bundle = parseTrustBundle(utf8(text), { sha256 })
    assert.equal(verdict(good, { keys: jwtSvidKeysOf(bundle!, importP256) }), 'accepted')
  })
  test('JW-6: a key of that name with another value is another key', async () => {
    assert.equal(verdict(good, { keys: [keyOf(await generateP256(), kid)] }), 'token_signature')
  })
})

describe('JW-7: a token names its key', () => {
  test('JW-7: what we mint has a kid, and one without is refused', () => {
    assert.equal(jose.decodeProtectedHeader(good).kid, kid)
    assert.equal(withHeader({ kid: undefined }), 'token_header')
    assert.deepEqual([withHeader({ kid: '' }), withHeader({ kid: 7 })], ['token_header', 'token_header'])
  })
  test('JW-7: for issuers that name none, the keys of the algorithm are tried, eight at most', async () => {
    const nameless = forge({ ...header, kid: undefined }, claims, key)
    const others = await Promise.all(Array.from({ length: 8 }, () => generateP256()))
    const strangers = others.map((other, at) => keyOf(other, `other-${at}`))
    const tried = (keys: readonly JwtSvidKey[]) => verdict(nameless, { withoutKid: 'tried', keys })
    assert.equal(tried([...strangers.slice(1), keyOf(pair, kid)]), 'accepted')
    assert.equal(tried([...strangers, keyOf(pair, kid)]), 'token_key_unknown')
    assert.equal(tried(strangers), 'token_signature')
    assert.equal(tried([]), 'token_key_unknown')
  })
})

describe('JW-8: no kind of token passes for another', () => {
  test('JW-8: an access token is no JWT-SVID, even by the same key', async () => {
    const access = await mintToken(goodClaims, { kid, signKey: pair.signKey })
    assert.equal(verdict(access, { audience: goodClaims.aud }), 'token_type')
  })
  test('JW-8: a JWT-SVID is no access token, whatever it says, even by the same key', async () => {
    const keys = keySetOf([{ kid, state: 'active', jwk: pair.jwk }], importP256)
    const expect = {
      issuer: goodClaims.iss,
      audience: goodClaims.aud,
      trustDomain: 'example.org',
      certificateFingerprint: goodClaims.cnf['x5t#S256'],
      epoch: 7,
    }
    const access = await mintToken(goodClaims, { kid, signKey: pair.signKey })
    const dressed = await mintJwtSvid(
      { ...(goodClaims as object as JwtSvidClaims), act: [] },
      { kid, signKey: pair.signKey },
    )
    assert.equal(verdictOf(access, { expect, keys, now }), 'accepted')
    assert.equal(verdictOf(dressed, { expect, keys, now }), 'token_type')
    assert.equal(verdictOf(forge({ ...header, typ: 'JOSE' }, goodClaims, key), { expect, keys, now }), 'token_type')
    assert.equal(verdictOf(forge({ alg: 'ES256', kid }, goodClaims, key), { expect, keys, now }), 'token_type')
  })
})

describe('jose as an oracle', () => {
  test('jose accepts what we mint', async () => {
    const { payload, protectedHeader } = await jose.jwtVerify(good, await jose.importJWK({ ...pair.jwk }, 'ES256'), {
      algorithms: ['ES256'],
      audience: claims.aud,
      typ: 'JWT',
      currentDate: new Date(now * 1000),
      requiredClaims: ['exp', 'iat', 'sub'],
    })
    assert.deepEqual(payload, claims)
    assert.deepEqual(protectedHeader, header)
  })
  test('we accept what jose mints', async () => {
    assert.equal(verdict(await new jose.SignJWT({ ...claims }).setProtectedHeader(header).sign(key)), 'accepted')
  })
})
