import assert from 'node:assert/strict'
import { createPublicKey, sign, verify } from 'node:crypto'
import { inspect } from 'node:util'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import * as jose from 'jose'
import {
  ecdsaFromDer,
  ecdsaToDer,
  encodeJoinString,
  encodeTrustBundle,
  equalBytes,
  isDoorwardError,
  keyIdOf,
  p256JwkOfSpki,
  parseJoinString,
  parseTrustBundle,
  readP256Jwk,
  Secret,
  spkiOfP256Jwk,
  toBase64,
  toBase64url,
  utf8,
} from '@doorward/core'
import type { JoinString } from '@doorward/core'
import {
  ed25519KeyPairOf,
  generateEd25519,
  generateP256,
  importEd25519,
  importP256,
  jwkThumbprint,
  p256KeyPairOf,
  randomBytes,
  sha256,
} from '@doorward/sdk'
import { makeAuthority, trustDomain } from './identity-fixture.ts'

describe('P-256 keys', () => {
  test('SPKI, JWK, thumbprint and key id agree with node:crypto and jose', async () => {
    const { privateKey, jwk, spki } = await generateP256()
    const exported = createPublicKey(privateKey).export({ format: 'jwk' })
    assert.deepEqual({ ...jwk }, { kty: exported.kty, crv: exported.crv, x: exported.x, y: exported.y })
    assert.ok(equalBytes(spkiOfP256Jwk(jwk), spki))
    assert.deepEqual(p256JwkOfSpki(spki), jwk)
    assert.equal(jwkThumbprint(jwk), await jose.calculateJwkThumbprint({ ...jwk }, 'sha256'))
    assert.match(keyIdOf(jwk, sha256), /^[0-9a-f]{40}$/)
    assert.deepEqual(p256KeyPairOf(privateKey).jwk, jwk)
  })
  test('only exactly a public P-256 JWK is read', async () => {
    const { jwk } = await generateP256()
    assert.deepEqual(readP256Jwk({ ...jwk }), jwk)
    for (const change of [
      { kty: 'RSA' },
      { crv: 'P-384' },
      { x: `${jwk.x}A` },
      { x: `${jwk.x.slice(0, -1)}=` },
      { y: undefined },
      { d: 'x' },
      { kid: 'x' },
    ]) {
      assert.equal(readP256Jwk({ ...jwk, ...change }), null)
    }
    for (const value of [null, [], 'x', 1, undefined]) assert.equal(readP256Jwk(value), null)
  })
  test('a point off the curve does not import', async () => {
    const { jwk } = await generateP256()
    assert.equal(importP256({ ...jwk, y: jwk.x }), null)
    assert.equal(importP256({ ...jwk, x: toBase64url(new Uint8Array(32)), y: toBase64url(new Uint8Array(32)) }), null)
  })
  test('a signature verifies for its data and key alone, and malformed is false', async () => {
    const pair = await generateP256()
    const key = importP256(pair.jwk)!
    const signature = await pair.signKey.sign(utf8('data'))
    assert.equal(signature.length, 64)
    assert.equal(key.verify(utf8('data'), signature), true)
    assert.equal(key.verify(utf8('other'), signature), false)
    for (const bad of [new Uint8Array(), new Uint8Array(64), signature.subarray(1), ecdsaToDer(signature)])
      assert.equal(key.verify(utf8('data'), bad), false)
  })
  test('a key of another kind is refused', async () => {
    const { privateKey } = await generateEd25519()
    assert.throws(() => p256KeyPairOf(privateKey), TypeError)
    const p256 = await generateP256()
    assert.throws(() => ed25519KeyPairOf(p256.privateKey), TypeError)
  })
})

describe('Ed25519 keys', () => {
  test('a signature verifies for its data and key alone, and malformed is false', async () => {
    const { publicKey, signKey } = await generateEd25519()
    const key = importEd25519(publicKey)!
    const signature = await signKey.sign(utf8('data'))
    assert.equal(key.verify(utf8('data'), signature), true)
    assert.equal(key.verify(utf8('other'), signature), false)
    assert.equal(key.verify(utf8('data'), new Uint8Array(64)), false)
    assert.equal(key.verify(utf8('data'), signature.subarray(1)), false)
    assert.equal(importEd25519(new Uint8Array(31)), null)
  })
})

describe('ECDSA signature forms', () => {
  test('go from DER to r ‖ s and back', async () => {
    const { privateKey } = await generateP256()
    const publicKey = createPublicKey(privateKey)
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (data) => {
        const der = new Uint8Array(sign('sha256', data, privateKey))
        const raw = ecdsaFromDer(der)
        return (
          raw !== null &&
          equalBytes(ecdsaToDer(raw), der) &&
          verify('sha256', data, { key: publicKey, dsaEncoding: 'ieee-p1363' }, raw)
        )
      }),
      { numRuns: 50 },
    )
  })
  test('short integers are padded and high ones get a sign octet', () => {
    const raw = Uint8Array.from({ length: 64 }, (_, i) => (i === 31 ? 1 : i === 32 ? 0x80 : 0))
    assert.deepEqual([...ecdsaToDer(raw).subarray(0, 9)], [0x30, 38, 2, 1, 1, 2, 33, 0, 0x80])
    assert.ok(equalBytes(ecdsaFromDer(ecdsaToDer(raw))!, raw))
  })
  test('other DER is null', () => {
    const cases = [
      '',
      '3000',
      '3003020101',
      '30060201010201',
      '300602010102010100',
      '3006020101020181',
      '30060201000201',
      '300702020001020101',
      '3106020101020101',
      '3009020101020101020101',
    ]
    for (const text of cases) assert.equal(ecdsaFromDer(new Uint8Array(Buffer.from(text, 'hex'))), null, text)
    const long = `0221${'01'.repeat(33)}`
    assert.equal(ecdsaFromDer(new Uint8Array(Buffer.from(`3026${long}020101`, 'hex'))), null)
    assert.throws(() => ecdsaToDer(new Uint8Array(63)), RangeError)
  })
})

describe('the join string', () => {
  const plain: JoinString = {
    version: 1,
    trustDomain,
    address: '127.0.0.1:8448',
    trustStateFingerprint: 'A'.repeat(43),
    rootFingerprint: 'B'.repeat(43),
  }
  const token = toBase64url(randomBytes(32))
  const full: JoinString = { ...plain, token: new Secret(token), spiffeId: 'spiffe://example.org/agent/planner' }
  const invalid = (error: unknown) => isDoorwardError(error, 'join_string_invalid')
  const text = (document: object) => `doorward-join-1.${toBase64url(utf8(JSON.stringify(document)))}`
  const document = {
    trust_domain: 'example.org',
    address: '127.0.0.1:8448',
    trust_state: 'A'.repeat(43),
    root: 'B'.repeat(43),
  }

  test('reads back, with and without token, whitespace around it ignored', () => {
    const read = parseJoinString(` ${encodeJoinString(full)}\n`)
    assert.equal(read.token?.reveal(), token)
    assert.deepEqual({ ...read, token: undefined }, { ...full, token: undefined })
    assert.deepEqual(parseJoinString(encodeJoinString(plain)), plain)
    assert.deepEqual(parseJoinString(text(document)), plain)
  })
  test('names other authorities, as many as a trust domain has, and none where there are none', () => {
    const otherAddresses = Array.from({ length: 7 }, (_, index) => `authority-${index}.acme.example:8448`)
    for (const others of [otherAddresses.slice(0, 1), otherAddresses])
      assert.deepEqual(parseJoinString(encodeJoinString({ ...plain, otherAddresses: others })).otherAddresses, others)
    const alone = encodeJoinString({ ...plain, otherAddresses: [] })
    assert.equal(alone, encodeJoinString(plain))
    assert.deepEqual(parseJoinString(alone), plain)
  })
  test('names of the others those that there is room for', () => {
    const label = 'x'.repeat(60)
    const otherAddresses = [1, 2, 3, 4, 5, 6, 7].map((n) => `${label}.${label}.${label}.${label}.${n}:8448`)
    const text = encodeJoinString({ ...full, otherAddresses, spiffeId: `spiffe://example.org/${'y'.repeat(1500)}` })
    const { otherAddresses: read = [], spiffeId } = parseJoinString(text)
    assert.deepEqual([read, spiffeId?.length], [otherAddresses.slice(0, read.length), 1521])
    assert.ok(text.length <= 4096 && read.length > 0 && read.length < 7, `${text.length} ${read.length}`)
  })
  test('shows its token to nobody', () => {
    const read = parseJoinString(encodeJoinString(full))
    assert.ok(!`${inspect(read)}${JSON.stringify(read)}`.includes(token))
  })
  for (const address of ['localhost:8448', 'mcp.acme.example:1', '[::1]:8448', '10.0.0.1:65535']) {
    test(`the address ${address} is accepted`, () =>
      assert.equal(parseJoinString(text({ ...document, address })).address, address))
  }
  for (const address of [
    'localhost',
    ':8448',
    'localhost:0',
    'localhost:65536',
    'localhost:08448',
    'a b:1',
    'https://x:1',
    'x:1/y',
    '::1:8448',
    'user@x:1',
    '-x:1',
  ]) {
    test(`the address ${address} is refused`, () =>
      assert.throws(() => parseJoinString(text({ ...document, address })), invalid))
  }
  test('anything else is refused', () => {
    const refused = [
      '',
      'doorward-join-1.',
      'doorward-join-2.e30',
      'doorward-join-1.e30',
      'doorward-join-1.e30=',
      encodeJoinString(plain).slice(1),
      `${encodeJoinString(plain)}.`,
      text({ ...document, x: 1 }),
      text({ ...document, root: undefined }),
      text({ ...document, root: 'B'.repeat(42) }),
      text({ ...document, trust_domain: 'Example.org' }),
      text({ ...document, trust_domain: 'example.org/x' }),
      text({ ...document, token: 'short' }),
      text({ ...document, token: 1 }),
      text({ ...document, spiffe_id: 'spiffe://evil.example/a' }),
      text({ ...document, spiffe_id: 'spiffe://example.org' }),
      `doorward-join-1.${toBase64url(utf8(`${JSON.stringify(document).slice(0, -1)},"root":"${'C'.repeat(43)}"}`))}`,
      text({ ...document, token: 'a'.repeat(5000) }),
      ...[[], ['nowhere'], ['a:1', 'a:1'], 'a:1', { a: 'b:1' }, [['a:1']], [null], Array(8).fill('a:1')].map((others) =>
        text({ ...document, others }),
      ),
      text({ ...document, others: ['a:1', 'b:1', 'c:1', 'd:1', 'e:1', 'f:1', 'g:1', 'h:1'] }),
    ]
    for (const one of refused) assert.throws(() => parseJoinString(one), invalid, one.slice(0, 80))
    assert.throws(() => encodeJoinString({ ...plain, address: 'nowhere' }), invalid)
    assert.throws(() => encodeJoinString({ ...plain, otherAddresses: ['nowhere'] }), invalid)
  })
})

describe('the trust bundle', () => {
  test('X5-9, TB-1, JW-6, TR-8: reads back, one certificate per entry, the sequence in full precision', async () => {
    const { certificate } = await makeAuthority()
    const { jwk } = await generateP256()
    const bundle = { sequence: 2n ** 64n - 1n, refreshHintSeconds: 60, x509: [certificate], jwt: [{ kid: 'j1', jwk }] }
    const text = encodeTrustBundle(bundle)
    assert.deepEqual(parseTrustBundle(utf8(text), { sha256 }), bundle)
    const [x509, jwt] = JSON.parse(text).keys
    assert.deepEqual(x509, { use: 'x509-svid', ...certificate.publicJwk, x5c: [toBase64(certificate.der)] })
    assert.deepEqual(jwt, { use: 'jwt-svid', kid: 'j1', ...jwk })
  })
  test('TB-1, TB-4: an empty key set is legal, unknown members of the set are ignored', () => {
    const empty = { sequence: null, refreshHintSeconds: null, x509: [], jwt: [] }
    assert.deepEqual(parseTrustBundle(utf8('{"keys":[]}'), { sha256 }), empty)
    assert.deepEqual(parseTrustBundle(utf8('{"keys":[],"x":{"spiffe_sequence":7}}'), { sha256 }), empty)
    assert.equal(
      parseTrustBundle(utf8('{"spiffe_sequence":3,"keys":[],"x":{"spiffe_sequence":7}}'), { sha256 })?.sequence,
      3n,
    )
  })
  test('TB-2, X5-9: an entry of unknown or missing use, kty or content is skipped, not the bundle', async () => {
    const { certificate } = await makeAuthority()
    const { jwk } = await generateP256()
    const good = { use: 'x509-svid', ...certificate.publicJwk, x5c: [toBase64(certificate.der)] }
    const { use: _use, ...useless } = good
    const { kty: _kty, ...typeless } = good
    const keys = [
      useless,
      typeless,
      { ...good, use: 'X509-SVID' },
      { ...good, use: 'wit-svid' },
      { ...good, x5c: [] },
      { ...good, x5c: ['AA=='] },
      1,
      null,
      good,
      { use: 'jwt-svid', ...jwk },
      { use: 'jwt-svid', kid: 'r', kty: 'RSA', n: 'x', e: 'AQAB' },
    ]
    const bundle = parseTrustBundle(utf8(JSON.stringify({ keys })), { sha256 })
    assert.deepEqual(
      bundle?.x509.map(({ fingerprint }) => fingerprint),
      [certificate.fingerprint],
    )
    assert.deepEqual(bundle.jwt, [])
  })
  test('X5-9: of several certificates in an entry the first is read, in plain base64 alone', async () => {
    const [first, second] = [await makeAuthority(), await makeAuthority()]
    const [one, two] = [toBase64(first.certificate.der), toBase64(second.certificate.der)]
    const readOf = (x5c: readonly unknown[], jwk = first.certificate.publicJwk) => {
      const text = JSON.stringify({ keys: [{ use: 'x509-svid', ...jwk, x5c }] })
      return parseTrustBundle(utf8(text), { sha256 })?.x509.map(({ fingerprint }) => fingerprint)
    }
    assert.deepEqual(readOf([one]), [first.certificate.fingerprint])
    assert.deepEqual(readOf([one, two]), [first.certificate.fingerprint])
    assert.deepEqual(readOf([one, 'AA==', 1]), [first.certificate.fingerprint])
    assert.deepEqual(readOf(['AA==', one]), [])
    for (const spelling of [`${one.slice(0, 64)}\n${one.slice(64)}`, `${one} `, `-${one.slice(1)}`])
      assert.deepEqual(readOf([spelling]), [], spelling)
    // The key of the entry is the certificate's.
    assert.deepEqual(readOf([one], second.certificate.publicJwk), [])
  })
  test('what is not a key set is null', () => {
    const refused = [
      '',
      '[]',
      '{}',
      '{"keys":{}}',
      '{"keys":[],"keys":[]}',
      '{"keys":[],"spiffe_sequence":1.5}',
      '{"keys":[],"spiffe_sequence":"1"}',
      '{"keys":[],"spiffe_sequence":-1}',
      '{"keys":[],"spiffe_sequence":18446744073709551616}',
      '{"keys":[],"spiffe_refresh_hint":1.5}',
    ]
    for (const text of refused) assert.equal(parseTrustBundle(utf8(text), { sha256 }), null, text)
  })
})
