/**
 * The cases of x509-limbo as SVIDs: each certificate is right in every way but the one of the case. A code is what refuses
 * it; null is accepted. Where SPIFFE and the web disagree about a case, SPIFFE's answer stands.
 */

import { generateKeyPairSync } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { concat, utf8 } from '@doorward/core'
import {
  YES,
  commonName,
  der,
  extension,
  extensionOf,
  hexBytes,
  oid,
  purposes,
  spkiOf,
  time,
  uriNames,
} from './identity-fixture.ts'
import type { LeafParts } from './identity-fixture.ts'

export type Change = Partial<LeafParts>
export type LeafCase = readonly [id: string, code: string | null, change: () => Change]

const NONE = new Uint8Array()
const id = 'spiffe://example.org/agent/planner'
const san = (...uris: readonly string[]): Change => ({ names: extension('11', true, uriNames(...uris)) })
const sanWith = (...more: readonly Uint8Array[]): Change => ({
  names: extension('11', true, der(0x30, der(0x86, utf8(id)), ...more)),
})
const dnsName = (text: string) => der(0x82, utf8(text))
const serial = (content: string): Change => ({ serial: der(2, hexBytes(content)) })
const validity = (from: string, to: string): Change => ({ validity: der(0x30, time(from), time(to)) })
const eku = (critical: boolean, value: Uint8Array): Change => ({ extendedKeyUsage: extension('25', critical, value) })
const usage = (bits: number, unused: number): Change => ({
  keyUsage: extension('0f', true, Uint8Array.of(3, 2, unused, bits)),
})
const both = concat(oid('2b06010505070301'), oid('2b06010505070302'))
const ca = (...more: readonly Uint8Array[]): Change => ({
  basicConstraints: extension('13', true, der(0x30, YES, ...more)),
})
/** 1.3.6.1.4.1.55738.666.1, which nobody knows. */
const unknown = (critical: boolean) => extensionOf('2b0601040183b33a851a01', critical, der(0x05))
const aia = (critical: boolean, value: Uint8Array) => extensionOf('2b06010505070101', critical, value)
const caIssuers = der(0x30, der(0x30, oid('2b06010505073002'), der(0x86, utf8('http://example.org/ca'))))

/** An extension of name constraints: subtrees of URI names unless given. */
export const nameConstraints = (critical: boolean, subtrees = permitted('example.org')) =>
  extension('1e', critical, der(0x30, subtrees))
const permitted = (host: string) => der(0xa0, der(0x30, der(0x86, utf8(host))))
const excluded = (host: string) => der(0xa1, der(0x30, der(0x86, utf8(host))))

/** Serial numbers, times, versions, encodings and extensions of a leaf. */
export const formCases: readonly LeafCase[] = [
  ['pathlen::max-chain-depth-0', null, () => ({})],
  ['rfc5280::serial::too-long', 'svid_serial', () => serial('01'.repeat(21))],
  ['rfc5280::serial::zero', 'svid_serial', () => serial('00')],
  ['rfc5280::serial::negative', 'svid_serial', () => serial('ff01')],
  ['rfc5280::validity::notbefore-exact', null, () => validity('270115080000Z', '270115090000Z')],
  ['rfc5280::validity::notafter-exact', null, () => validity('270115070000Z', '270115080000Z')],
  ['rfc5280::validity::expired-leaf', 'certificate_expired', () => validity('270114080000Z', '270114090000Z')],
  ['rfc5280::validity::expired-1-second', 'certificate_expired', () => validity('270115070000Z', '270115075959Z')],
  ['rfc5280::validity::expired-5-seconds', 'certificate_expired', () => validity('270115070000Z', '270115075955Z')],
  [
    'rfc5280::validity::not-yet-valid-1-second',
    'certificate_not_yet_valid',
    () => validity('270115080001Z', '270115090000Z'),
  ],
  [
    'rfc5280::validity::not-yet-valid-5-seconds',
    'certificate_not_yet_valid',
    () => validity('270115080005Z', '270115090000Z'),
  ],
  ['rfc5280::ee-empty-issuer', 'svid_issuer', () => ({ issuer: der(0x30) })],
  ['rfc5280::unknown-critical-extension-ee', 'svid_critical_extension', () => ({ more: unknown(true) })],
  ['rfc5280::ee-aia', null, () => ({ more: aia(false, caIssuers) })],
  ['rfc5280::ee-critical-aia-invalid', 'svid_critical_extension', () => ({ more: aia(true, caIssuers) })],
  ['webpki::malformed-aia', 'certificate_malformed', () => ({ more: aia(false, utf8('malformed')) })],
  ['rfc5280::duplicate-extensions', 'certificate_malformed', () => ({ more: concat(unknown(false), unknown(false)) })],
  [
    'rfc5280::mismatching-signature-algorithm',
    'certificate_malformed',
    () => ({ outerAlgorithm: der(0x30, oid('2a8648ce3d040303')) }),
  ],
  ['webpki::v1-cert', 'svid_version', () => ({ version: der(0xa0, Uint8Array.of(2, 1, 1)), extensions: NONE })],
  ['rfc5280::aki::leaf-missing-aki', 'chain_issuer_unknown', () => ({ authorityKeyId: NONE })],
  ['rfc5280::nc::not-allowed-in-ee-noncritical', 'svid_critical_extension', () => ({ more: nameConstraints(false) })],
  ['rfc5280::nc::not-allowed-in-ee-critical', 'svid_critical_extension', () => ({ more: nameConstraints(true) })],
  ['rfc5280::pc::ica-noncritical-pc', 'svid_critical_extension', () => ({ more: extension('24', false, der(0x30)) })],
]

/** What a leaf may do. */
export const usageCases: readonly LeafCase[] = [
  ['rfc5280::no-keyusage', 'svid_key_usage', () => ({ keyUsage: NONE })],
  ['rfc5280::leaf-ku-keycertsign', 'svid_key_usage', () => usage(0x84, 2)],
  ['rfc5280::eku::ee-wrong-eku', 'svid_extended_key_usage', () => eku(false, purposes('02'))],
  ['rfc5280::eku::ee-without-eku', 'svid_extended_key_usage', () => ({ extendedKeyUsage: NONE })],
  ['webpki::eku::ee-without-eku', 'svid_extended_key_usage', () => ({ extendedKeyUsage: NONE })],
  ['rfc5280::eku::ee-eku-empty', 'certificate_malformed', () => eku(false, der(0x30))],
  ['webpki::eku::ee-anyeku', 'svid_extended_key_usage', () => eku(false, der(0x30, both, oid('551d2500')))],
  ['webpki::eku::ee-critical-eku', null, () => eku(true, der(0x30, both))],
  ['rfc5280::no-basicconstraints', null, () => ({ basicConstraints: NONE })],
  ['webpki::ee-basicconstraints-ca', 'svid_ca', () => ca()],
  ['rfc5280::ca-as-leaf', 'svid_ca', () => ({ ...ca(), ...usage(0x06, 1) })],
  [
    'rfc5280::ca-as-leaf-wrong-san',
    'svid_ca',
    () => ({ ...ca(), ...usage(0x06, 1), ...san('spiffe://other.example/a') }),
  ],
  ['webpki::ca-as-leaf', 'svid_ca', () => ({ ...ca(Uint8Array.of(2, 1, 0)), ...usage(0x86, 1) })],
  ['pathlen::validation-ignores-pathlen-in-leaf', 'svid_ca', () => ca(Uint8Array.of(2, 1, 0))],
]

/** Who a leaf is: where a case matches DNS names, trust domains are matched. */
export const nameCases: readonly LeafCase[] = [
  ['webpki::san::exact-dns-san', null, () => sanWith(dnsName('planner.example.org'))],
  ['webpki::san::exact-localhost-ip-san', null, () => sanWith(der(0x87, hexBytes('7f000001')))],
  ['webpki::san::mismatch-domain-san', 'svid_trust_domain', () => san('spiffe://example2.org/agent/planner')],
  ['webpki::san::mismatch-subdomain-san', 'svid_trust_domain', () => san('spiffe://abc.example.org/agent/planner')],
  ['webpki::san::mismatch-apex-subdomain-san', 'svid_trust_domain', () => san('spiffe://a.example.org/agent/planner')],
  ['webpki::san::mismatch-subdomain-apex-san', 'svid_trust_domain', () => san('spiffe://org/agent/planner')],
  ['webpki::san::leftmost-wildcard-san', 'svid_id', () => san('spiffe://*.org/agent/planner')],
  ['webpki::san::public-suffix-wildcard-san', 'svid_id', () => san('spiffe://*.org/agent/planner')],
  ['webpki::san::public-suffix-multi-label-wildcard-san', 'svid_id', () => san('spiffe://*.co.uk/agent/planner')],
  [
    'webpki::san::public-suffix-private-namespace-wildcard-san',
    'svid_id',
    () => san('spiffe://*.s3.amazonaws.com/agent/planner'),
  ],
  ['webpki::san::wildcard-embedded-leftmost-san', 'svid_id', () => san('spiffe://exam*.org/agent/planner')],
  ['webpki::san::wildcard-not-in-leftmost-san', 'svid_id', () => san('spiffe://example.*/agent/planner')],
  ['webpki::san::wildcard-match-across-labels-san', 'svid_id', () => san('spiffe://example.org/*')],
  ['webpki::san::wildcard-embedded-ulabel-san', 'svid_id', () => san('spiffe://xn--*-1b3c148a.example.org/a')],
  ['webpki::san::san-wildcard-only', 'svid_id', () => san('*')],
  ['webpki::san::san-wildcard-only-tld', 'svid_id', () => san('spiffe://*')],
  ['webpki::san::unicode-emoji-san', 'certificate_malformed', () => san('spiffe://😜.example.org/agent/planner')],
  ['webpki::san::no-san', 'svid_uri', () => ({ names: NONE, subject: commonName(id) })],
  ['webpki::san::san-critical-with-nonempty-subject', null, () => ({ ...san(id), subject: commonName('planner') })],
  [
    'rfc5280::san::noncritical-with-empty-subject',
    'svid_san_critical',
    () => ({ names: extension('11', false, uriNames(id)) }),
  ],
  ['rfc5280::san::malformed', 'certificate_malformed', () => ({ names: extension('11', true, utf8(id)) })],
  ['rfc5280::san::underscore-dns', 'svid_dns_name', () => sanWith(dnsName('foo_bar.example.org'))],
  ['rfc5280::san::ip-in-dns', 'svid_dns_name', () => sanWith(dnsName('127.0.0.1'))],
  ['rfc5280::nc::nc-permits-invalid-dns-san', 'svid_dns_name', () => sanWith(dnsName('.example.org'))],
  [
    'rfc5280::nc::nc-permits-invalid-ip-san',
    'certificate_malformed',
    () => sanWith(der(0x87, hexBytes('c0000200ffffff00'))),
  ],
  ...[
    ['ipv4-hex-mismatch', '0xC0A80101'],
    ['ipv4-leading-zeros-mismatch', '192.168.001.001'],
    ['ipv6-uppercase-mismatch', '2001:DB8::8A2E:370:7334'],
    ['ipv6-uncompressed-mismatch', '2001:0db8:0000:0000:0000:0000:0000:0001'],
    ['ipv6-non-rfc5952-mismatch', '2001:db8:0:0:1:0:0:1'],
    ['punycode-not-in-san', 'xn--nxasmq6b.com'],
    ['utf8-vs-punycode-mismatch', 'test-測試.com'],
    ['not-in-san', 'spiffe://example.org/agent/admin'],
    ['case-mismatch', 'Spiffe://Example.org/agent/planner'],
    // The common name says nothing about who an SVID is: the caller is named by the URI alone.
  ].map(([name = '', text = '']): LeafCase => [`webpki::cn::${name}`, null, () => ({ subject: commonName(text) })]),
]

export type KeyKind = 'p192' | 'p384' | 'dsa' | 'rsa1024' | 'rsa2052' | 'explicit'

const RSA_SHA256 = der(0x30, oid('2a864886f70d01010b'), hexBytes('0500'))
const DSA_SHA256 = der(0x30, oid('608648016503040302'))

/** What signatures by the key say they are; the same as ours where it is another curve. */
export function algorithmOf(kind: KeyKind): Change {
  const algorithm = kind.startsWith('rsa') ? RSA_SHA256 : kind === 'dsa' ? DSA_SHA256 : undefined
  return algorithm === undefined ? {} : { algorithm, outerAlgorithm: algorithm }
}

export function keyPairOf(kind: KeyKind): { readonly publicKey: KeyObject; readonly privateKey: KeyObject } {
  switch (kind) {
    case 'p192':
      return generateKeyPairSync('ec', { namedCurve: 'prime192v1' })
    case 'p384':
      return generateKeyPairSync('ec', { namedCurve: 'P-384' })
    case 'explicit':
      return generateKeyPairSync('ec', { namedCurve: 'P-256', paramEncoding: 'explicit' })
    case 'dsa':
      return generateKeyPairSync('dsa', { modulusLength: 1024, divisorLength: 160 })
    case 'rsa1024':
      return generateKeyPairSync('rsa', { modulusLength: 1024 })
    case 'rsa2052':
      return generateKeyPairSync('rsa', { modulusLength: 2052 })
  }
}

export const spkiBytes = (kind: KeyKind): Uint8Array =>
  new Uint8Array(keyPairOf(kind).publicKey.export({ type: 'spki', format: 'der' }))

/** Keys of leaves. */
export const keyCases: readonly LeafCase[] = [
  ['webpki::explicit-curve', 'svid_key', () => ({ spki: spkiBytes('explicit') })],
  ['webpki::forbidden-p192-leaf', 'svid_key', () => ({ spki: spkiBytes('p192') })],
  ['webpki::forbidden-dsa-leaf', 'svid_key', () => ({ spki: spkiBytes('dsa') })],
  ['webpki::forbidden-weak-rsa-in-leaf', 'svid_key', () => ({ spki: spkiBytes('rsa1024') })],
  ['webpki::forbidden-rsa-key-not-divisible-by-8-in-leaf', 'svid_key', () => ({ spki: spkiBytes('rsa2052') })],
  ['webpki::cryptographydotio-chain', 'svid_key', () => ({ spki: spkiOf('rsa') })],
]

/** An anchor of another key than ours, and its leaf. */
export const anchorKeyCases: readonly (readonly [id: string, code: string, kind: KeyKind])[] = [
  ['webpki::forbidden-p192-root', 'chain_anchor_profile', 'p192'],
  ['webpki::explicit-curve', 'chain_anchor_profile', 'explicit'],
  ['webpki::forbidden-dsa-root', 'svid_signature_algorithm', 'dsa'],
  ['webpki::forbidden-weak-rsa-key-in-root', 'svid_signature_algorithm', 'rsa1024'],
  ['webpki::forbidden-rsa-not-divisible-by-8-in-root', 'svid_signature_algorithm', 'rsa2052'],
]

export { excluded, permitted, unknown }
