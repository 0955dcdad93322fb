/** Tokens made of a good one, each with one thing wrong (RFC 8725 §2 and §3, RFC 7515 §10). None of them was signed by the authority. */

import { createHmac, generateKeyPairSync, sign } from 'node:crypto'
import type { KeyObject } from 'node:crypto'

export interface ForgedToken {
  readonly name: string
  readonly text: string
  /** Codes of which one has to be told. */
  readonly codes: readonly string[]
}

const encoded = (value: unknown) =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')
const decoded = (part: string) =>
  JSON.parse(Buffer.from(part, 'base64url').toString('utf8')) as Readonly<Record<string, unknown>>

/** At least 60. `published` is the public key that verifies the good one; the private keys in them are made here. */
export function forgedTokens(good: string, published: KeyObject): readonly ForgedToken[] {
  return [
    ...badAlgorithms(good),
    ...badHeaders(good),
    ...badClaims(good),
    ...badSignatures(good),
    ...badGrammar(good),
    ...keyedByPublished(good, published),
  ]
}

function* badAlgorithms(good: string): Generator<ForgedToken> {
  const [head = '', payload = ''] = good.split('.')
  const header = decoded(head)
  const codes = ['token_algorithm', 'token_malformed', 'token_header']
  for (const alg of ['none', 'None', 'nOnE', 'NONE', '']) {
    yield {
      name: `alg ${alg === '' ? 'empty' : alg}, unsigned`,
      text: `${encoded({ ...header, alg })}.${payload}.`,
      codes,
    }
    yield {
      name: `alg ${alg === '' ? 'empty' : alg}, signed as before`,
      text: `${encoded({ ...header, alg })}.${payload}.${good.split('.')[2] ?? ''}`,
      codes,
    }
  }
  for (const alg of ['HS256', 'HS384', 'HS512']) {
    const signed = `${encoded({ ...header, alg })}.${payload}`
    yield { name: `alg ${alg}, keyed by the name of the key`, text: keyed(signed, alg, String(header['kid'])), codes }
  }
  for (const alg of ['RS256', 'PS256', 'ES384', 'ES512', 'ES256K', 'EdDSA', 'es256', 'dir'])
    yield { name: `alg ${alg}`, text: changed(good, { alg }), codes }
  yield { name: 'alg as a list', text: changed(good, { alg: ['ES256'] }), codes }
  yield { name: 'alg missing', text: changed(good, { alg: undefined }), codes }
}

function* badHeaders(good: string): Generator<ForgedToken> {
  const own = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const jwk = own.publicKey.export({ format: 'jwk' })
  const codes = ['token_header', 'token_type', 'token_malformed', 'token_key_unknown']
  const changes: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
    'the key beside it (jwk)': { jwk },
    'the place of a key (jku)': { jku: 'https://attacker.example/keys' },
    'the place of a certificate (x5u)': { x5u: 'https://attacker.example/chain' },
    'a certificate beside it (x5c)': { x5c: ['MIIB'] },
    'an extension that must be understood (crit)': { crit: ['exp'] },
    'an unencoded payload (b64)': { b64: false, crit: ['b64'] },
    'a compressed payload (zip)': { zip: 'DEF' },
    'another type: JWT': { typ: 'JWT' },
    'another type: dpop+jwt': { typ: 'dpop+jwt' },
    'no type': { typ: undefined },
    'an unknown key': { kid: 'unknown' },
    'no key': { kid: undefined },
    'a key as a path': { kid: '../../../../dev/null' },
    'a key as a query': { kid: "x' OR '1'='1" },
    'a key as a list': { kid: ['a'] },
  }
  for (const [name, change] of Object.entries(changes))
    yield { name, text: resigned(good, change, {}, own.privateKey), codes }
}

function* badClaims(good: string): Generator<ForgedToken> {
  const own = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
  const claims = decoded(good.split('.')[1] ?? '')
  const later = Number(claims['exp']) + 3600
  const changes: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
    nothing: {},
    'another subject': { sub: `${String(claims['sub'])}x` },
    'another client': { client_id: `${String(claims['client_id'])}x` },
    'another audience': { aud: `${String(claims['aud'])}x` },
    'several audiences': { aud: [claims['aud'], 'https://other.example'] },
    'another issuer': { iss: 'https://attacker.example' },
    'a later end': { exp: later },
    'no end': { exp: undefined },
    'an end as text': { exp: String(later) },
    'an end without bound': { exp: 1e308 },
    'a beginning to come': { nbf: later },
    'another id': { jti: 'AAAAAAAAAAAAAAAAAAAAAA' },
    'no binding': { cnf: undefined },
    'another binding': { cnf: { 'x5t#S256': 'A'.repeat(43) } },
    'an actor': { act: { sub: 'spiffe://attacker.example/x' } },
    'a wider scope': { scope: '*' },
    'roles of its own': { roles: ['admin'] },
    'a prototype': JSON.parse('{"__proto__":{"sub":"x"}}') as Readonly<Record<string, unknown>>,
  }
  for (const [name, change] of Object.entries(changes))
    yield {
      name: `signed by a key of the attacker: ${name}`,
      text: resigned(good, {}, change, own),
      codes: ['token_signature'],
    }
  for (const [name, change] of Object.entries(changes).slice(1, 8))
    yield { name: `signed as before: ${name}`, text: changedPayload(good, change), codes: ['token_signature'] }
}

function* badSignatures(good: string): Generator<ForgedToken> {
  const [head = '', payload = '', signature = ''] = good.split('.')
  const bytes = Buffer.from(signature, 'base64url')
  const codes = ['token_signature', 'token_malformed']
  const withSignature = (name: string, other: Uint8Array): ForgedToken => ({
    name: `signature ${name}`,
    text: `${head}.${payload}.${Buffer.from(other).toString('base64url')}`,
    codes,
  })
  yield withSignature('of zeros (CVE-2022-21449)', new Uint8Array(64))
  yield withSignature('empty', new Uint8Array(0))
  yield withSignature('cut off', bytes.subarray(0, 63))
  yield withSignature('with a byte more', Buffer.concat([bytes, Buffer.of(0)]))
  yield withSignature('twice', Buffer.concat([bytes, bytes]))
  yield withSignature('with halves exchanged', Buffer.concat([bytes.subarray(32), bytes.subarray(0, 32)]))
  yield withSignature('of ones', new Uint8Array(64).fill(255))
  for (const at of [0, 15, 31, 32, 47, 63]) {
    const other = Buffer.from(bytes)
    other[at] = (other[at] ?? 0) ^ 1
    yield withSignature(`with a bit of byte ${at} changed`, other)
  }
}

function* badGrammar(good: string): Generator<ForgedToken> {
  const [head = '', payload = '', signature = ''] = good.split('.')
  const codes = ['token_malformed', 'token_missing', 'token_header', 'request_malformed', 'token_claims']
  const texts: Readonly<Record<string, string>> = {
    'without a signature part': `${head}.${payload}`,
    'with a fourth part': `${good}.${signature}`,
    'with five parts, as an encrypted one': `${head}.${payload}.${signature}.${head}.${payload}`,
    'with padding': `${good}=`,
    'with another alphabet': `${head}.${payload}.${signature.replace(/^./, '+')}`,
    'with a blank inside': `${head}. ${payload}.${signature}`,
    'with dots alone': '..',
    'as JSON serialization': JSON.stringify({ payload, protected: head, signature }),
    'that is no token': 'secret',
    'with a header twice': `${encoded('{"alg":"ES256","alg":"none"}')}.${payload}.${signature}`,
    'with a header that is a list': `${encoded('[]')}.${payload}.${signature}`,
    'with a header that is cut off': `${head.slice(0, -3)}.${payload}.${signature}`,
  }
  for (const [name, text] of Object.entries(texts)) yield { name, text, codes }
  yield {
    name: 'of 8 KiB',
    text: `${good}${'A'.repeat(8192)}`,
    codes: ['token_too_large', 'token_malformed', 'header_limit'],
  }
}

/** The public key as a secret: CVE-2015-9235 and many since. Libraries differ in the form in which they hold it. */
function* keyedByPublished(good: string, published: KeyObject): Generator<ForgedToken> {
  const [head = '', payload = ''] = good.split('.')
  const jwk = published.export({ format: 'jwk' })
  const point = Buffer.concat([Buffer.of(4), ...[jwk.x, jwk.y].map((part) => Buffer.from(part ?? '', 'base64url'))])
  const pem = published.export({ type: 'spki', format: 'pem' })
  const forms: Readonly<Record<string, string | Buffer>> = {
    'as PEM': pem,
    'as PEM without its last line end': String(pem).trimEnd(),
    'as DER': published.export({ type: 'spki', format: 'der' }),
    'as the bytes of its point': point,
    'as JWK': JSON.stringify(jwk),
  }
  for (const alg of ['HS256', 'HS384', 'HS512'])
    for (const [form, secret] of Object.entries(forms))
      yield {
        name: `alg ${alg}, keyed by the public key ${form}`,
        text: keyed(`${encoded({ ...decoded(head), alg })}.${payload}`, alg, secret),
        codes: ['token_algorithm'],
      }
}

function keyed(signed: string, alg: string, secret: string | Buffer): string {
  const mac = createHmac(`sha${alg.slice(2)}`, secret)
    .update(signed)
    .digest('base64url')
  return `${signed}.${mac}`
}

/** The header changed, everything else as it was. */
function changed(good: string, change: Readonly<Record<string, unknown>>): string {
  const [head = '', payload = '', signature = ''] = good.split('.')
  return `${encoded({ ...decoded(head), ...change })}.${payload}.${signature}`
}

function changedPayload(good: string, change: Readonly<Record<string, unknown>>): string {
  const [head = '', payload = '', signature = ''] = good.split('.')
  return `${head}.${encoded({ ...decoded(payload), ...change })}.${signature}`
}

function resigned(
  good: string,
  header: Readonly<Record<string, unknown>>,
  claims: Readonly<Record<string, unknown>>,
  key: KeyObject,
): string {
  const [head = '', payload = ''] = good.split('.')
  const signed = `${encoded({ ...decoded(head), ...header })}.${encoded({ ...decoded(payload), ...claims })}`
  return `${signed}.${sign('sha256', Buffer.from(signed), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
}
