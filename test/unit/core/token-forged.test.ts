import assert from 'node:assert/strict'
import { createHmac, generateKeyPairSync, sign } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { before, describe, test } from 'node:test'
import * as jose from 'jose'
import { chainClaim, epochClaim, fromBase64url, mintToken, toBase64url, utf8 } from '@doorward/core'
import {
  fingerprint,
  forge,
  goodClaims,
  goodHeader,
  kid,
  makeSigner,
  now,
  verdictOf,
  actChain,
  chainOf,
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

const [headerText, claimsText] = [JSON.stringify(goodHeader), JSON.stringify(goodClaims)]
const withHeader = (change: object) => () => forge({ ...goodHeader, ...change }, goodClaims, key)
const withClaims = (change: object) => () => forge(goodHeader, { ...goodClaims, ...change }, key)
const withRawClaims = (from: string, to: string) => () => {
  assert.ok(claimsText.includes(from))
  return forge(goodHeader, claimsText.replace(from, to), key)
}
const [link] = chainOf(1)
const unstamped = ({ [chainClaim]: _stamp, ...rest }: ReturnType<typeof delegated>) => rest
const without = (name: string) => () => {
  const rest = Object.fromEntries(Object.entries(goodClaims).filter(([claim]) => claim !== name))
  return forge(goodHeader, rest, key)
}
const parts = () => good.split('.') as [string, string, string]
const strange = (algorithm: string, privateKey: KeyObject) => {
  const input = `${toBase64url(utf8(JSON.stringify({ ...goodHeader, alg: algorithm })))}.${parts()[1]}`
  return `${input}.${toBase64url(new Uint8Array(sign('sha256', utf8(input), privateKey)))}`
}
const hmacWithPublicKey = () => {
  const input = `${toBase64url(utf8(JSON.stringify({ ...goodHeader, alg: 'HS256' })))}.${parts()[1]}`
  return `${input}.${createHmac('sha256', signer.key.spki).update(input).digest('base64url')}`
}
const signatureOf = (bytes: (signature: Uint8Array) => Uint8Array) => () => {
  const [header, payload, signature] = parts()
  return `${header}.${payload}.${toBase64url(bytes(fromBase64url(signature)!))}`
}
const N = 'ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551'
const order = Uint8Array.from(N.match(/../g)!, (pair) => Number.parseInt(pair, 16))

/** Each derives from a valid token by one change. */
const forged: readonly (readonly [string, string, () => string])[] = [
  // Grammar.
  ['no text', 'token_malformed', () => ''],
  ['two parts', 'token_malformed', () => parts().slice(0, 2).join('.')],
  ['an empty signature', 'token_malformed', () => `${parts()[0]}.${parts()[1]}.`],
  ['an empty payload', 'token_malformed', () => `${parts()[0]}..${parts()[2]}`],
  ['an empty header', 'token_malformed', () => `.${parts()[1]}.${parts()[2]}`],
  ['four parts', 'token_malformed', () => `${good}.AA`],
  ['five parts, as a JWE', 'token_malformed', () => `${good}.AA.AA`],
  ['a trailing dot', 'token_malformed', () => `${good}.`],
  ['padding', 'token_malformed', () => `${good}==`],
  ['a leading space', 'token_malformed', () => ` ${good}`],
  ['a trailing newline', 'token_malformed', () => `${good}\n`],
  ['a space inside', 'token_malformed', () => good.replace('.', ' .')],
  ['standard base64 in the signature', 'token_malformed', () => `${parts()[0]}.${parts()[1]}.${'+'.repeat(86)}`],
  ['a character beyond ASCII', 'token_malformed', () => good.replace('.', 'é.')],
  ['another spelling of the last signature character', 'token_malformed', () => respelled(good)],
  [
    'JSON serialisation',
    'token_malformed',
    () => JSON.stringify({ protected: parts()[0], payload: parts()[1], signature: parts()[2] }),
  ],
  ['more than 4 KiB', 'token_too_large', () => forge(goodHeader, { ...goodClaims, jti: 'x'.repeat(4000) }, key)],
  ['a header that is not JSON', 'token_malformed', () => forge('{', goodClaims, key)],
  ['a header that is an array', 'token_malformed', () => forge('[]', goodClaims, key)],
  ['a header with bytes after it', 'token_malformed', () => forge(`${headerText}x`, goodClaims, key)],
  [
    'a header with alg twice',
    'token_malformed',
    () => forge(headerText.replace('{', '{"alg":"none",'), goodClaims, key),
  ],
  [
    'a header with an escaped alg twice',
    'token_malformed',
    () => forge(headerText.replace('{', '{"\\u0061lg":"none",'), goodClaims, key),
  ],
  [
    'a header with __proto__',
    'token_malformed',
    () => forge(headerText.replace('{', '{"__proto__":{},'), goodClaims, key),
  ],
  // Algorithm and kind.
  ['alg none with its signature', 'token_algorithm', withHeader({ alg: 'none' })],
  ['alg None', 'token_algorithm', withHeader({ alg: 'None' })],
  ['alg es256', 'token_algorithm', withHeader({ alg: 'es256' })],
  ['alg with a space', 'token_algorithm', withHeader({ alg: 'ES256 ' })],
  ['alg as an array', 'token_algorithm', withHeader({ alg: ['ES256'] })],
  ['alg missing', 'token_algorithm', withHeader({ alg: undefined })],
  ['alg null', 'token_algorithm', withHeader({ alg: null })],
  ['alg ES384', 'token_algorithm', withHeader({ alg: 'ES384' })],
  ['alg EdDSA', 'token_algorithm', () => strangeEd()],
  [
    'alg RS256',
    'token_algorithm',
    () => strange('RS256', generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey),
  ],
  ['alg HS256 keyed with the public key', 'token_algorithm', hmacWithPublicKey],
  ['a JWT-SVID', 'token_type', withHeader({ typ: 'JWT' })],
  ['a JWT-SVID of type JOSE', 'token_type', withHeader({ typ: 'JOSE' })],
  ['a WIT', 'token_type', withHeader({ typ: 'wit+jwt' })],
  ['a transaction token', 'token_type', withHeader({ typ: 'txntoken+jwt' })],
  ['typ in capitals', 'token_type', withHeader({ typ: 'AT+JWT' })],
  ['typ with a media type prefix', 'token_type', withHeader({ typ: 'application/at+jwt' })],
  ['typ missing', 'token_type', withHeader({ typ: undefined })],
  // Header.
  ['a jwk', 'token_header', () => forge({ ...goodHeader, jwk: signer.key.jwk }, goodClaims, key)],
  ['a jku', 'token_header', withHeader({ jku: 'https://evil.example/keys' })],
  ['an x5u', 'token_header', withHeader({ x5u: 'https://evil.example/cert' })],
  ['an x5c', 'token_header', withHeader({ x5c: ['AA=='] })],
  ['a crit', 'token_header', withHeader({ crit: ['exp'] })],
  ['an empty crit', 'token_header', withHeader({ crit: [] })],
  ['b64 false', 'token_header', withHeader({ b64: false })],
  ['b64 true', 'token_header', withHeader({ b64: true })],
  ['a zip', 'token_header', withHeader({ zip: 'DEF' })],
  ['a cty', 'token_header', withHeader({ cty: 'JWT' })],
  ['an unknown header member', 'token_header', withHeader({ x: 1 })],
  ['kid missing', 'token_header', withHeader({ kid: undefined })],
  ['kid as a number', 'token_header', withHeader({ kid: 1 })],
  ['an empty kid', 'token_header', withHeader({ kid: '' })],
  ['a kid of 129 characters', 'token_header', withHeader({ kid: 'k'.repeat(129) })],
  ['an unknown kid', 'token_key_unknown', withHeader({ kid: 'token-key-2' })],
  ['a kid with a path', 'token_key_unknown', withHeader({ kid: '../../dev/null' })],
  ['a kid with SQL', 'token_key_unknown', withHeader({ kid: "x' UNION SELECT 'key" })],
  ['a kid that names a method of objects', 'token_key_unknown', withHeader({ kid: 'toString' })],
  // Signature.
  [
    'another key',
    'token_signature',
    () => forge(goodHeader, goodClaims, generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey),
  ],
  [
    'a changed payload',
    'token_signature',
    () => `${parts()[0]}.${toBase64url(utf8(claimsText.replace('planner', 'admin')))}.${parts()[2]}`,
  ],
  ['a signature of zeros', 'token_signature', signatureOf(() => new Uint8Array(64))],
  ['r and s equal to the order', 'token_signature', signatureOf(() => Uint8Array.of(...order, ...order))],
  ['r of zero', 'token_signature', signatureOf((bytes) => Uint8Array.of(...new Uint8Array(32), ...bytes.slice(32)))],
  ['s of zero', 'token_signature', signatureOf((bytes) => Uint8Array.of(...bytes.slice(0, 32), ...new Uint8Array(32)))],
  ['a signature cut short', 'token_signature', signatureOf((bytes) => bytes.slice(0, 63))],
  ['a signature with a byte more', 'token_signature', signatureOf((bytes) => Uint8Array.of(...bytes, 0))],
  ['a signature in DER', 'token_signature', () => derSigned()],
  // Claims: shape.
  ...(['iss', 'sub', 'aud', 'iat', 'nbf', 'exp', 'jti', 'client_id', 'cnf', epochClaim] as const).flatMap(
    (name): (readonly [string, string, () => string])[] => [
      [`${name} missing`, 'token_claims', without(name)],
      [`${name} null`, 'token_claims', withClaims({ [name]: null })],
      [`${name} as an array`, 'token_claims', withClaims({ [name]: [goodClaims[name]] })],
      [`${name} as an object`, 'token_claims', withClaims({ [name]: { value: goodClaims[name] } })],
      [`${name} as a boolean`, 'token_claims', withClaims({ [name]: true })],
      [
        `${name} twice`,
        'token_claims',
        () =>
          forge(
            goodHeader,
            claimsText.replace('{', `{${JSON.stringify({ [name]: goodClaims[name] }).slice(1, -1)},`),
            key,
          ),
      ],
    ],
  ),
  ...(['iat', 'nbf', 'exp', epochClaim] as const).flatMap((name): (readonly [string, string, () => string])[] => [
    [`${name} as a text`, 'token_claims', withClaims({ [name]: String(goodClaims[name]) })],
    [`${name} with a fraction`, 'token_claims', withClaims({ [name]: goodClaims[name] + 0.5 })],
    [`${name} of 1e400`, 'token_claims', withRawClaims(`"${name}":${goodClaims[name]}`, `"${name}":1e400`)],
    [
      `${name} beyond 2^53`,
      'token_claims',
      withRawClaims(`"${name}":${goodClaims[name]}`, `"${name}":9007199254740993`),
    ],
    [`${name} negative`, 'token_claims', withClaims({ [name]: -1 })],
  ]),
  ['an empty iss', 'token_claims', withClaims({ iss: '' })],
  ['an empty jti', 'token_claims', withClaims({ jti: '' })],
  ['a jti of 129 characters', 'token_claims', withClaims({ jti: 'x'.repeat(129) })],
  ['an unknown claim', 'token_claims', withClaims({ scopes: 'files:read' })],
  ['roles in the token', 'token_claims', withClaims({ roles: ['admin'] })],
  [
    'a claim __proto__',
    'token_claims',
    () => forge(goodHeader, claimsText.replace('{', '{"__proto__":{"admin":true},'), key),
  ],
  ['a cnf with a jwk', 'token_claims', () => forge(goodHeader, { ...goodClaims, cnf: { jwk: signer.key.jwk } }, key)],
  ['a cnf with a jkt beside', 'token_claims', withClaims({ cnf: { 'x5t#S256': fingerprint, jkt: fingerprint } })],
  ['an empty cnf', 'token_claims', withClaims({ cnf: {} })],
  ['an empty thumbprint', 'token_claims', withClaims({ cnf: { 'x5t#S256': '' } })],
  ['a thumbprint in hex', 'token_claims', withClaims({ cnf: { 'x5t#S256': 'a'.repeat(64) } })],
  ['act as a text', 'token_claims', withClaims({ act: 'spiffe://example.org/agent/planner' })],
  ['act null', 'token_claims', withClaims({ act: null })],
  ['an empty act', 'token_claims', withClaims({ act: {} })],
  ['act with another member', 'token_claims', withClaims(delegated({ act: { sub: goodClaims.client_id, iss: 'x' } }))],
  ['act five deep', 'token_claims', withClaims(delegated({ act: actChain(5) }, 4))],
  ['a chain as a text', 'token_claims', withClaims(delegated({ [chainClaim]: 'verified' }))],
  ['an empty chain', 'token_claims', withClaims({ [chainClaim]: [] })],
  ['a chain of five', 'token_claims', withClaims(delegated({ [chainClaim]: chainOf(5) }))],
  ['a link with another member', 'token_claims', withClaims(delegated({ [chainClaim]: [{ ...link, aud: 'x' }] }))],
  ['a link without a serial', 'token_claims', withClaims(delegated({ [chainClaim]: [{ ...link, serial: '' }] }))],
  ['a link of no time', 'token_claims', withClaims(delegated({ [chainClaim]: [{ ...link, iat: 1.5 }] }))],
  ['an empty scope', 'token_claims', withClaims({ scope: '' })],
  ['a scope with two spaces', 'token_claims', withClaims({ scope: 'read  write' })],
  ['a scope with a word twice', 'token_claims', withClaims({ scope: 'read read' })],
  ['a scope as a list', 'token_claims', withClaims({ scope: ['read'] })],
  ['a scope of 33 words', 'token_claims', withClaims({ scope: Array.from({ length: 33 }, (_, i) => i).join(' ') })],
  ['may_act as RFC 8693 has it', 'token_claims', withClaims({ may_act: { sub: 'spiffe://example.org/agent/b' } })],
  ['may_act with another member', 'token_claims', withClaims({ may_act: { sub: [], iss: 'x' } })],
  ['may_act with a name twice', 'token_claims', withClaims({ may_act: { sub: ['a', 'a'] } })],
  ['may_act with nine names', 'token_claims', withClaims({ may_act: { sub: 'abcdefghi'.split('') } })],
  ['a payload that is not an object', 'token_claims', () => forge(goodHeader, '[]', key)],
  ['a payload that is not UTF-8', 'token_claims', () => forge(goodHeader, Uint8Array.of(0x7b, 0xff, 0x7d), key)],
  ['a payload with a byte order mark', 'token_claims', () => forge(goodHeader, `\ufeff${claimsText}`, key)],
  ['a payload with bytes after it', 'token_claims', () => forge(goodHeader, `${claimsText} {}`, key)],
  ['a nested token', 'token_claims', () => forge(goodHeader, good, key)],
  // Claims: value.
  ['another issuer', 'token_issuer', withClaims({ iss: 'https://evil.example' })],
  ['the issuer with a slash', 'token_issuer', withClaims({ iss: `${goodClaims.iss}/` })],
  ['the issuer in capitals', 'token_issuer', withClaims({ iss: goodClaims.iss.toUpperCase() })],
  ['another audience', 'token_audience', withClaims({ aud: 'https://mcp.example.org:8443/mcp/github' })],
  ['a prefix of the audience', 'token_audience', withClaims({ aud: goodClaims.aud.slice(0, -1) })],
  ['an audience that goes on', 'token_audience', withClaims({ aud: `${goodClaims.aud}/x` })],
  ['an expired token', 'token_expired', withClaims({ iat: now - 330, nbf: now - 330, exp: now - 30 })],
  ['nbf in the future', 'token_not_yet_valid', withClaims({ nbf: now + 31 })],
  ['iat in the future', 'token_not_yet_valid', withClaims({ iat: now + 31, exp: now + 300 })],
  ['a lifetime of 301 s', 'token_lifetime', withClaims({ exp: now + 301 })],
  ['a lifetime of a year', 'token_lifetime', withClaims({ exp: now + 31_536_000 })],
  ['exp at iat', 'token_lifetime', withClaims({ iat: now + 10, exp: now + 10 })],
  ['exp before nbf', 'token_lifetime', withClaims({ nbf: now + 300 })],
  [
    'the subject of another trust domain',
    'token_subject',
    withClaims({ sub: 'spiffe://evil.example/agent/planner', client_id: 'spiffe://evil.example/agent/planner' }),
  ],
  ['a subject that is no SPIFFE ID', 'token_subject', withClaims({ sub: 'planner', client_id: 'planner' })],
  [
    'the trust domain itself as subject',
    'token_subject',
    withClaims({ sub: 'spiffe://example.org', client_id: 'spiffe://example.org' }),
  ],
  [
    'a presenter that is not the subject, without act',
    'token_subject',
    withClaims({ client_id: 'spiffe://example.org/agent/other' }),
  ],
  [
    'a presenter that is not the current actor',
    'token_subject',
    withClaims(delegated({ act: { sub: 'spiffe://example.org/agent/third' } })),
  ],
  [
    'an actor of another trust domain',
    'token_subject',
    withClaims(delegated({ act: { sub: goodClaims.client_id, act: { sub: 'spiffe://evil.example/a' } } }, 2)),
  ],
  ['DX-6: a chain that was not verified at exchange', 'token_subject', withClaims(unstamped(delegated({})))],
  ['a hop without its stamp', 'token_subject', withClaims(delegated({ act: actChain(2) }))],
  ['a stamp without its hop', 'token_subject', withClaims({ [chainClaim]: chainOf(1) })],
  [
    'DX-5: a chain that comes back to its subject',
    'token_subject',
    withClaims(delegated({ sub: goodClaims.client_id })),
  ],
  [
    'an actor twice',
    'token_subject',
    withClaims(delegated({ act: { sub: goodClaims.client_id, act: { sub: goodClaims.client_id } } }, 2)),
  ],
  ['another certificate', 'token_binding', withClaims({ cnf: { 'x5t#S256': `${'B'.repeat(42)}E` } })],
  ['an earlier epoch', 'token_epoch', withClaims({ [epochClaim]: 6 })],
]

function respelled(token: string): string {
  const last = token.at(-1)!
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  return token.slice(0, -1) + alphabet[alphabet.indexOf(last) + 1]!
}

function strangeEd(): string {
  const input = `${toBase64url(utf8(JSON.stringify({ ...goodHeader, alg: 'EdDSA' })))}.${parts()[1]}`
  return `${input}.${toBase64url(new Uint8Array(sign(null, utf8(input), generateKeyPairSync('ed25519').privateKey)))}`
}

function derSigned(): string {
  const input = parts().slice(0, 2).join('.')
  return `${input}.${toBase64url(new Uint8Array(sign('sha256', utf8(input), key)))}`
}

describe('a token with one thing wrong is refused', () => {
  test('the token the others derive from is accepted, minted or forged', () => {
    assert.equal(verdictOf(good, signer.check), 'accepted')
    assert.equal(verdictOf(forge(goodHeader, goodClaims, key), signer.check), 'accepted')
    assert.ok(forged.length >= 60)
  })
  for (const [what, code, make] of forged) {
    test(`${what}: ${code}`, () => assert.equal(verdictOf(make(), signer.check), code))
  }
})

describe('jose as an oracle', () => {
  test('jose refuses every forged token whose signature we refuse', async () => {
    const joseKey = await jose.importJWK({ ...signer.key.jwk }, 'ES256')
    const refusedByUs = forged.filter(([, code]) => code === 'token_signature')
    for (const [what, , make] of refusedByUs)
      await assert.rejects(jose.jwtVerify(make(), joseKey, { currentDate: new Date(now * 1000) }), what)
  })
})
