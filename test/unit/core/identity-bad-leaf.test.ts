import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import fc from 'fast-check'
import { concat, utf8 } from '@doorward/core'
import { generateP256 } from '@doorward/sdk'
import type { P256KeyPair } from '@doorward/sdk'
import {
  NO,
  assemble,
  commonName,
  der,
  ecdsaSha256,
  extension,
  goodLeaf,
  hexBytes,
  issue,
  makeAuthority,
  mustRead,
  oid,
  purposes,
  time,
  uriNames,
  leafVerdict,
  spkiOf,
} from './identity-fixture.ts'
import type { Authority, LeafParts } from './identity-fixture.ts'

let authority: Authority
let leafKey: P256KeyPair

before(async () => {
  authority = await makeAuthority()
  leafKey = await generateP256()
})

function verdict(bytes: Uint8Array): string | null {
  return leafVerdict(bytes, [authority.certificate])
}

function leafWith(change: Partial<LeafParts>): Uint8Array {
  return assemble({ ...goodLeaf(authority, leafKey.privateKey), ...change }, authority.key.privateKey)
}

const leafUsage = (bits: number, unused: number) => extension('0f', true, Uint8Array.of(3, 2, unused, bits))
const name = (text: string) => extension('11', true, uriNames(text))
const SPKI_HEAD = '301306072a8648ce3d020106082a8648ce3d030107'

const badLeaves: readonly (readonly [string, string, () => Partial<LeafParts>])[] = [
  [
    'two URI names',
    'svid_uri',
    () => ({ names: extension('11', true, uriNames('spiffe://example.org/a', 'spiffe://example.org/b')) }),
  ],
  [
    'the same URI name twice',
    'svid_uri',
    () => ({ names: extension('11', true, uriNames('spiffe://example.org/a', 'spiffe://example.org/a')) }),
  ],
  ['no names', 'svid_uri', () => ({ names: new Uint8Array() })],
  [
    'a common name instead of a URI',
    'svid_uri',
    () => ({
      names: new Uint8Array(),
      subject: der(0x30, der(0x31, der(0x30, oid('550403'), der(0x0c, utf8('spiffe://example.org/agent/planner'))))),
    }),
  ],
  [
    'a DNS name instead of a URI',
    'svid_uri',
    () => ({ names: extension('11', true, der(0x30, der(0x82, utf8('planner.example.org')))) }),
  ],
  [
    'an id inside a DNS name',
    'svid_dns_name',
    () => ({ names: extension('11', true, der(0x30, der(0x82, utf8('x,URI:spiffe://example.org/admin')))) }),
  ],
  ['an empty name list', 'certificate_malformed', () => ({ names: extension('11', true, der(0x30)) })],
  ['an empty URI', 'svid_id', () => ({ names: name('') })],
  [
    'names that are not critical beside an empty subject',
    'svid_san_critical',
    () => ({ names: extension('11', false, uriNames('spiffe://example.org/agent/planner')) }),
  ],
  [
    'an encoded default criticality',
    'certificate_malformed',
    () => ({ names: extension('11', NO, uriNames('spiffe://example.org/agent/planner')) }),
  ],
  ['an empty path', 'svid_path', () => ({ names: name('spiffe://example.org') })],
  ['a trailing slash', 'svid_id', () => ({ names: name('spiffe://example.org/') })],
  ['an empty segment', 'svid_id', () => ({ names: name('spiffe://example.org/agent//planner') })],
  ['a relative segment', 'svid_id', () => ({ names: name('spiffe://example.org/agent/../admin') })],
  ['another scheme', 'svid_id', () => ({ names: name('https://example.org/agent/planner') })],
  ['an uppercase scheme', 'svid_id', () => ({ names: name('SPIFFE://example.org/agent/planner') })],
  ['an uppercase trust domain', 'svid_id', () => ({ names: name('spiffe://Example.org/agent/planner') })],
  ['a query', 'svid_id', () => ({ names: name('spiffe://example.org/agent/planner?role=admin') })],
  ['a fragment', 'svid_id', () => ({ names: name('spiffe://example.org/agent/planner#x') })],
  ['a port', 'svid_id', () => ({ names: name('spiffe://example.org:443/agent/planner') })],
  ['user info', 'svid_id', () => ({ names: name('spiffe://a@example.org/agent/planner') })],
  ['percent-encoding', 'svid_id', () => ({ names: name('spiffe://example.org/agent/%70lanner') })],
  ['another trust domain', 'svid_trust_domain', () => ({ names: name('spiffe://evil.example/agent/planner') })],
  [
    'a subdomain of the trust domain',
    'svid_trust_domain',
    () => ({ names: name('spiffe://sub.example.org/agent/planner') }),
  ],
  ['a NUL in the name', 'certificate_malformed', () => ({ names: name('spiffe://example.org/agent/planner\0.evil') })],
  ['a newline in the name', 'certificate_malformed', () => ({ names: name('spiffe://example.org/agent/planner\n') })],
  [
    'a byte above 7F in the name',
    'certificate_malformed',
    () => ({ names: name('spiffe://example.org/agent/plänner') }),
  ],
  [
    'a NUL in a DNS name',
    'certificate_malformed',
    () => ({
      names: extension('11', true, der(0x30, der(0x86, utf8('spiffe://example.org/a')), der(0x82, utf8('a\0b')))),
    }),
  ],
  [
    'an address of five bytes',
    'certificate_malformed',
    () => ({
      names: extension(
        '11',
        true,
        der(0x30, der(0x86, utf8('spiffe://example.org/a')), der(0x87, hexBytes('7f00000101'))),
      ),
    }),
  ],
  ['an id above 2048 bytes', 'svid_id', () => ({ names: name(`spiffe://example.org/${'a'.repeat(2028)}`) })],
  ['more than 8 KiB', 'certificate_too_large', () => ({ names: name(`spiffe://example.org/${'a'.repeat(9000)}`) })],
  ['the names extension twice', 'certificate_malformed', () => ({ more: name('spiffe://example.org/agent/other') })],
  ['a CA flag', 'svid_ca', () => ({ basicConstraints: extension('13', true, der(0x30, Uint8Array.of(1, 1, 0xff))) })],
  [
    'a CA flag and certificate signing',
    'svid_ca',
    () => ({
      basicConstraints: extension('13', true, der(0x30, Uint8Array.of(1, 1, 0xff))),
      keyUsage: leafUsage(0x04, 2),
    }),
  ],
  [
    'a path length without CA flag',
    'svid_ca',
    () => ({ basicConstraints: extension('13', true, der(0x30, Uint8Array.of(2, 1, 0))) }),
  ],
  [
    'an encoded default CA flag',
    'certificate_malformed',
    () => ({ basicConstraints: extension('13', true, der(0x30, NO)) }),
  ],
  [
    'a CA flag that is neither 00 nor FF',
    'certificate_malformed',
    () => ({ basicConstraints: extension('13', true, der(0x30, Uint8Array.of(1, 1, 1))) }),
  ],
  ['no key usage', 'svid_key_usage', () => ({ keyUsage: new Uint8Array() })],
  [
    'key usage that is not critical',
    'svid_key_usage',
    () => ({ keyUsage: extension('0f', false, Uint8Array.of(3, 2, 7, 0x80)) }),
  ],
  ['key usage without digitalSignature', 'svid_key_usage', () => ({ keyUsage: leafUsage(0x20, 5) })],
  ['certificate signing', 'svid_key_usage', () => ({ keyUsage: leafUsage(0x84, 2) })],
  ['CRL signing', 'svid_key_usage', () => ({ keyUsage: leafUsage(0x82, 1) })],
  ['key usage with trailing zero bits', 'certificate_malformed', () => ({ keyUsage: leafUsage(0x80, 0) })],
  ['key usage with set padding bits', 'certificate_malformed', () => ({ keyUsage: leafUsage(0x81, 7) })],
  ['empty key usage', 'certificate_malformed', () => ({ keyUsage: extension('0f', true, Uint8Array.of(3, 1, 0)) })],
  ['no extended key usage', 'svid_extended_key_usage', () => ({ extendedKeyUsage: new Uint8Array() })],
  ['clientAuth alone', 'svid_extended_key_usage', () => ({ extendedKeyUsage: extension('25', false, purposes('02')) })],
  ['serverAuth alone', 'svid_extended_key_usage', () => ({ extendedKeyUsage: extension('25', false, purposes('01')) })],
  [
    'any purpose',
    'svid_extended_key_usage',
    () => ({ extendedKeyUsage: extension('25', false, der(0x30, oid('551d2500'))) }),
  ],
  [
    'any purpose beside the two',
    'svid_extended_key_usage',
    () => ({
      extendedKeyUsage: extension(
        '25',
        false,
        concat(der(0x30, oid('2b06010505070301'), oid('2b06010505070302'), oid('551d2500'))),
      ),
    }),
  ],
  [
    'an empty list of purposes',
    'certificate_malformed',
    () => ({ extendedKeyUsage: extension('25', false, der(0x30)) }),
  ],
  [
    'a critical extension nobody knows',
    'svid_critical_extension',
    () => ({ more: extension('7f', true, Uint8Array.of(5, 0)) }),
  ],
  ['critical name constraints', 'svid_critical_extension', () => ({ more: extension('1e', true, der(0x30)) })],
  ['no extensions', 'svid_key_usage', () => ({ extensions: new Uint8Array() })],
  ['an empty extension list', 'certificate_malformed', () => ({ extensions: der(0xa3, der(0x30)) })],
  ['version 1', 'svid_version', () => ({ version: new Uint8Array(), extensions: new Uint8Array() })],
  ['version 1 with extensions', 'certificate_malformed', () => ({ version: new Uint8Array() })],
  ['version 2', 'svid_version', () => ({ version: der(0xa0, Uint8Array.of(2, 1, 1)), extensions: new Uint8Array() })],
  ['an encoded default version', 'certificate_malformed', () => ({ version: der(0xa0, Uint8Array.of(2, 1, 0)) })],
  ['version 4', 'certificate_malformed', () => ({ version: der(0xa0, Uint8Array.of(2, 1, 3)) })],
  ['a negative serial', 'svid_serial', () => ({ serial: der(2, hexBytes('ff01')) })],
  ['a zero serial', 'svid_serial', () => ({ serial: der(2, hexBytes('00')) })],
  ['a serial of 21 octets', 'svid_serial', () => ({ serial: der(2, hexBytes('01'.repeat(21))) })],
  [
    'a serial of 20 octets and a sign octet',
    'svid_serial',
    () => ({ serial: der(2, hexBytes(`00${'ff'.repeat(20)}`)) }),
  ],
  ['a serial that is not minimal', 'certificate_malformed', () => ({ serial: der(2, hexBytes('0012')) })],
  ['a serial without content', 'certificate_malformed', () => ({ serial: der(2) })],
  ['an RSA key', 'svid_key', () => ({ spki: spkiOf('rsa') })],
  ['a P-384 key', 'svid_key', () => ({ spki: spkiOf('p384') })],
  ['an Ed25519 key', 'svid_key', () => ({ spki: spkiOf('ed25519') })],
  [
    'a compressed point',
    'svid_key',
    () => ({ spki: der(0x30, hexBytes(SPKI_HEAD), der(3, hexBytes(`0002${'11'.repeat(32)}`))) }),
  ],
  [
    'an RSA signature algorithm',
    'svid_signature_algorithm',
    () => ({
      algorithm: der(0x30, oid('2a864886f70d01010b'), hexBytes('0500')),
      outerAlgorithm: der(0x30, oid('2a864886f70d01010b'), hexBytes('0500')),
    }),
  ],
  [
    'ecdsa-with-SHA1',
    'svid_signature_algorithm',
    () => ({ algorithm: der(0x30, oid('2a8648ce3d0401')), outerAlgorithm: der(0x30, oid('2a8648ce3d0401')) }),
  ],
  [
    'ecdsa-with-SHA256 with parameters',
    'svid_signature_algorithm',
    () => ({
      algorithm: der(0x30, oid('2a8648ce3d040302'), hexBytes('0500')),
      outerAlgorithm: der(0x30, oid('2a8648ce3d040302'), hexBytes('0500')),
    }),
  ],
  ['two different algorithms', 'certificate_malformed', () => ({ outerAlgorithm: der(0x30, oid('2a8648ce3d040303')) })],
  [
    'an expired validity',
    'certificate_expired',
    () => ({ validity: der(0x30, time('270114070000Z'), time('270115075959Z')) }),
  ],
  [
    'a validity in the future',
    'certificate_not_yet_valid',
    () => ({ validity: der(0x30, time('270115080001Z'), time('270115090000Z')) }),
  ],
  [
    'a validity that ends before it starts',
    'svid_validity',
    () => ({ validity: der(0x30, time('270115090000Z'), time('270115070000Z')) }),
  ],
  [
    'a validity beyond the issuer’s',
    'chain_outlives_issuer',
    () => ({ validity: der(0x30, time('270115075900Z'), time('280115090000Z')) }),
  ],
  [
    'a time without seconds',
    'certificate_malformed',
    () => ({ validity: der(0x30, der(0x17, utf8('2701150759Z')), time('270115090000Z')) }),
  ],
  [
    'a time with an offset',
    'certificate_malformed',
    () => ({ validity: der(0x30, der(0x17, utf8('270115075900+0000')), time('270115090000Z')) }),
  ],
  [
    'a time that does not exist',
    'certificate_malformed',
    () => ({ validity: der(0x30, time('270230075900Z'), time('270315090000Z')) }),
  ],
  [
    'a GeneralizedTime before 2050',
    'certificate_malformed',
    () => ({ validity: der(0x30, time('20270115075900Z'), time('20270115090000Z')) }),
  ],
  ['unique identifiers', 'certificate_malformed', () => ({ uniqueIds: der(0x81, hexBytes('0011')) })],
  ['a fourth part', 'certificate_malformed', () => ({ tail: hexBytes('0500') })],
  ['no authority key id', 'chain_issuer_unknown', () => ({ authorityKeyId: new Uint8Array() })],
  [
    'the key id of nobody',
    'chain_issuer_unknown',
    () => ({ authorityKeyId: extension('23', false, der(0x30, der(0x80, hexBytes('11'.repeat(20))))) }),
  ],
  ['another issuer name', 'chain_issuer_unknown', () => ({ issuer: commonName('another') })],
  ['no issuer name', 'svid_issuer', () => ({ issuer: der(0x30) })],
]

describe('a leaf with one thing wrong is refused', () => {
  test('the leaf the others derive from is accepted', () => {
    assert.equal(verdict(leafWith({})), null)
  })
  test('a DNS name and an address beside the URI, and a subject, are accepted', () => {
    const names = der(
      0x30,
      der(0x86, utf8('spiffe://example.org/a')),
      der(0x82, utf8('a.example.org')),
      der(0x87, hexBytes('7f000001')),
    )
    const subject = der(0x30, der(0x31, der(0x30, oid('550403'), der(0x0c, utf8('anything')))))
    assert.equal(verdict(leafWith({ names: extension('11', false, names), subject })), null)
  })
  test('SID-4: an id of 2048 bytes is accepted', () => {
    assert.equal(verdict(leafWith({ names: name(`spiffe://example.org/${'a'.repeat(2027)}`) })), null)
  })
  for (const [what, code, change] of badLeaves) {
    test(`${what}: ${code}`, () => assert.equal(verdict(leafWith(change())), code))
  }
})

describe('one encoding per certificate', () => {
  const good = () => leafWith({})
  /** The outer length made one octet longer than needed. */
  const longLength = (bytes: Uint8Array) =>
    concat(Uint8Array.of(0x30, 0x83, 0, bytes[2]!, bytes[3]!), bytes.subarray(4))
  const cases: readonly (readonly [string, () => Uint8Array])[] = [
    ['trailing bytes', () => concat(good(), Uint8Array.of(0))],
    ['two certificates', () => concat(good(), good())],
    ['a length that is not minimal', () => longLength(good())],
    ['an indefinite length', () => concat(Uint8Array.of(0x30, 0x80), good().subarray(4), Uint8Array.of(0, 0))],
    ['a cut end', () => good().subarray(0, -1)],
    ['nothing', () => new Uint8Array()],
    ['a tag alone', () => Uint8Array.of(0x30)],
    ['PEM', () => utf8('-----BEGIN CERTIFICATE-----')],
    ['1000 nested sequences', () => Uint8Array.from({ length: 2000 }, (_, i) => (i % 2 === 0 ? 0x30 : 0x80))],
    [
      'a set in wrong order',
      () =>
        leafWith({
          subject: der(
            0x30,
            der(0x31, der(0x30, oid('550404'), der(0x0c, utf8('b'))), der(0x30, oid('550403'), der(0x0c, utf8('a')))),
          ),
        }),
    ],
    [
      'an object identifier that is not minimal',
      () => leafWith({ more: der(0x30, der(6, hexBytes('55801d7f')), der(4)) }),
    ],
    ['a constructed octet string', () => leafWith({ more: der(0x30, oid('551d7f'), der(0x24, der(4))) })],
    [
      'a PrintableString with an underscore',
      () => leafWith({ subject: der(0x30, der(0x31, der(0x30, oid('550403'), der(0x13, utf8('a_b'))))) }),
    ],
    [
      'a UTF8String that is not UTF-8',
      () => leafWith({ subject: der(0x30, der(0x31, der(0x30, oid('550403'), der(0x0c, hexBytes('c0af'))))) }),
    ],
  ]
  for (const [what, make] of cases) {
    test(`${what} is refused`, () => assert.equal(verdict(make()), 'certificate_malformed'))
  }

  test('a signature that is not strict DER is refused', () => {
    const bytes = good()
    const certificate = mustRead(bytes)
    const at = bytes.length - (bytes[certificate.tbs.length + 4 + ecdsaSha256.length + 1]! - 1)
    const bad = bytes.slice()
    assert.equal(bad[at], 0x30)
    bad[at] = 0x31
    assert.equal(verdict(bad), 'svid_signature_algorithm')
  })

  test('no change of one byte is accepted', async () => {
    const { der: bytes } = await issue(authority)
    assert.equal(verdict(bytes), null)
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const mutant = bytes.slice()
        mutant[at]! ^= flip
        return verdict(mutant) !== null
      }),
      { numRuns: 400 },
    )
  })

  test('arbitrary bytes never throw and are never accepted', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => verdict(bytes) !== null),
      { numRuns: 400 },
    )
  })
})
