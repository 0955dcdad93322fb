/** X.509 certificates of peers: what they say, and whether a leaf is an X.509-SVID (reference ids X5-1 … X5-5, F5). */

import { equalBytes, hex, toBase64url } from '../bytes.ts'
import { isDoorwardError } from '../error.ts'
import type { P256Jwk, Sha256 } from '../primitives.ts'
import type { EpochSeconds } from '../time.ts'
import { readExtensions } from './certificate-extensions.ts'
import type { CertificateExtensions } from './certificate-extensions.ts'
import { derError, expectTag, oidText, readDer, TAG } from './der.ts'
import type { DerNode } from './der.ts'
import { ecdsaFromDer } from './ecdsa-signature.ts'
import { p256JwkOfSpki } from './jwk.ts'
import { readSpiffeId } from './spiffe-id.ts'
import type { SpiffeId } from './spiffe-id.ts'

/** One certificate as its DER says, nothing of it verified. */
export interface PeerCertificate {
  readonly der: Uint8Array
  /** SHA-256 of the DER, base64url (RFC 8705 §3.1). */
  readonly fingerprint: string
  /** X.509 version: 1, 2 or 3. */
  readonly version: number
  /** Lowercase hex of the magnitude, without a sign octet. */
  readonly serial: string
  /** Positive and at most 20 octets (RFC 5280 §4.1.2.2). */
  readonly serialValid: boolean
  /** The only URI name if it is a SPIFFE ID. */
  readonly spiffeId: SpiffeId | null
  readonly uris: readonly string[]
  readonly dnsNames: readonly string[]
  readonly ipAddresses: readonly string[]
  readonly isCa: boolean
  readonly notBefore: EpochSeconds
  /** The last valid second. */
  readonly notAfter: EpochSeconds
  readonly subjectKeyId: string | null
  readonly authorityKeyId: string | null
  readonly extensions: CertificateExtensions
  /** DER of the names. */
  readonly issuerName: Uint8Array
  readonly subjectName: Uint8Array
  readonly publicKeySpki: Uint8Array
  /** Null for any key that is not P-256 with an uncompressed point. */
  readonly publicJwk: P256Jwk | null
  /** The signed bytes. */
  readonly tbs: Uint8Array
  /** r ‖ s; null for any algorithm but ecdsa-with-SHA256, or a signature that is not strict DER. */
  readonly signature: Uint8Array | null
}

export interface CertificateProblem {
  /** `certificate_too_large` or `certificate_malformed`. */
  readonly problem: string
  readonly message: string
}

const MAX_BYTES = 8192
const ECDSA_WITH_SHA256 = '1.2.840.10045.4.3.2'

/** Reads one DER certificate of at most 8 KiB (RFC 5280 §4.1). Never throws on input. Verifies no signature and no profile. */
export function readCertificate(
  der: Uint8Array,
  { sha256 }: { readonly sha256: Sha256 },
): PeerCertificate | CertificateProblem {
  if (der.length > MAX_BYTES)
    return { problem: 'certificate_too_large', message: `${der.length} bytes, at most ${MAX_BYTES}` }
  try {
    // A copy: what was judged cannot be changed through the caller's buffer.
    return certificateOf(readDer(new Uint8Array(der)), sha256)
  } catch (error) {
    if (!isDoorwardError(error, 'der_invalid')) throw error
    return { problem: 'certificate_malformed', message: error.message }
  }
}

function certificateOf(root: DerNode, sha256: Sha256): PeerCertificate {
  const [tbs, algorithm, signature] = parts(root, 3, 'a certificate')
  const fields = [...expectTag(tbs, TAG.sequence, 'the signed part').children]
  const version = fields[0]?.tag === 0xa0 ? readVersion(fields.shift()!) : 1
  const [serial, innerAlgorithm, issuer, validity, subject, spki, ...rest] = fields
  if (!equalBytes(algorithm!.bytes, expectTag(innerAlgorithm, TAG.sequence, 'an algorithm').bytes)) {
    throw derError('two different signature algorithms')
  }
  const { content } = expectTag(serial, TAG.integer, 'a serial number')
  const [notBefore, notAfter] = parts(validity, 2, 'a validity')
  const extensions = readExtensions(extensionsOf(rest, version))
  const publicKeySpki = expectTag(spki, TAG.sequence, 'a public key').bytes
  return {
    der: root.bytes,
    fingerprint: toBase64url(sha256(root.bytes)),
    version,
    ...readSerial(content),
    ...namesOf(extensions),
    isCa: extensions.basicConstraints?.ca === true,
    notBefore: readTime(notBefore!),
    notAfter: readTime(notAfter!),
    subjectKeyId: extensions.subjectKeyId,
    authorityKeyId: extensions.authorityKeyId,
    extensions,
    issuerName: expectTag(issuer, TAG.sequence, 'an issuer').bytes,
    subjectName: expectTag(subject, TAG.sequence, 'a subject').bytes,
    publicKeySpki,
    publicJwk: p256JwkOfSpki(publicKeySpki),
    tbs: tbs!.bytes,
    signature: readSignature(algorithm!, expectTag(signature, TAG.bitString, 'a signature')),
  }
}

function parts(node: DerNode | undefined, count: number, what: string): readonly DerNode[] {
  const { children } = expectTag(node, TAG.sequence, what)
  if (children.length !== count) throw derError(`${what} with ${children.length} parts`)
  return children
}

function readVersion(node: DerNode): number {
  const { content } = expectTag(node.children[0], TAG.integer, 'a version')
  const value = content[0]!
  if (node.children.length !== 1 || content.length !== 1 || (value !== 1 && value !== 2))
    throw derError('an unknown version')
  return value + 1
}

function readSerial(content: Uint8Array): { serial: string; serialValid: boolean } {
  const negative = (content[0]! & 0x80) !== 0
  const magnitude = content.length > 1 && content[0] === 0 ? content.subarray(1) : content
  const zero = magnitude.length === 1 && magnitude[0] === 0
  return { serial: hex(magnitude), serialValid: !negative && !zero && content.length <= 20 }
}

/** Unique identifiers are refused: they have had no use since 1997 and RFC 5280 forbids issuing them. */
function extensionsOf(rest: readonly DerNode[], version: number): DerNode | undefined {
  if (rest.length === 0) return undefined
  const [node] = rest
  if (rest.length > 1 || node?.tag !== 0xa3 || node.children.length !== 1)
    throw derError('unknown fields after the public key')
  if (version !== 3) throw derError('extensions in a certificate that is not version 3')
  return node.children[0]
}

function namesOf({
  subjectAltNames,
}: CertificateExtensions): Pick<PeerCertificate, 'spiffeId' | 'uris' | 'dnsNames' | 'ipAddresses'> {
  const { uris, dnsNames, ipAddresses } = subjectAltNames ?? { uris: [], dnsNames: [], ipAddresses: [] }
  const [uri] = uris
  const id = uris.length === 1 && uri !== undefined ? readSpiffeId(uri) : null
  return { spiffeId: id === null || 'problem' in id ? null : id, uris, dnsNames, ipAddresses }
}

const UTC_TIME = /^\d{12}Z$/
const GENERALIZED_TIME = /^\d{14}Z$/

/** RFC 5280 §4.1.2.5: UTCTime through 2049, GeneralizedTime from 2050 on, seconds present, Z, no fraction. */
function readTime({ tag, content }: DerNode): EpochSeconds {
  const text = String.fromCharCode(...content.subarray(0, 16))
  if (content.length > 15 || !(tag === TAG.utcTime ? UTC_TIME : GENERALIZED_TIME).test(text))
    throw derError('a time in another form')
  if (tag !== TAG.utcTime && tag !== TAG.generalizedTime) throw derError('expected a time')
  const full = tag === TAG.utcTime ? (text < '50' ? '20' : '19') + text : text
  if (tag === TAG.generalizedTime && full < '2050') throw derError('a GeneralizedTime before 2050')
  const iso = `${full.slice(0, 4)}-${full.slice(4, 6)}-${full.slice(6, 8)}T${full.slice(8, 10)}:${full.slice(10, 12)}:${full.slice(12, 14)}.000Z`
  const date = new Date(iso)
  if (Number.isNaN(date.getTime()) || date.toISOString() !== iso) throw derError('a time that does not exist')
  return (date.getTime() / 1000) as EpochSeconds
}

function readSignature(algorithm: DerNode, signature: DerNode): Uint8Array | null {
  const children = expectTag(algorithm, TAG.sequence, 'an algorithm').children
  const oid = oidText(expectTag(children[0], TAG.oid, 'an algorithm identifier'))
  if (oid !== ECDSA_WITH_SHA256 || children.length !== 1 || signature.content[0] !== 0) return null
  return ecdsaFromDer(signature.content.subarray(1))
}

/** What makes a certificate unfit as a leaf: a stable code and the reason. */
export interface LeafProblem {
  readonly code: string
  readonly message: string
}

const SERVER_AUTH = '1.3.6.1.5.5.7.3.1'
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2'
const EMPTY_NAME_BYTES = 2

/**
 * Null when the certificate has the profile of an X.509-SVID leaf of the trust domain (X5-1, X5-2, X5-4, X5-5, SID-1 … SID-5).
 * The name is the URI SAN alone; the subject and DNS names decide nothing.
 * Not checked here: signature and validity (`chainsToAnchor`), issuance and denials.
 */
export function checkSvidLeaf(cert: PeerCertificate, trustDomain: string): LeafProblem | null {
  for (const [code, message, holds] of LEAF_RULES) if (!holds(cert)) return { code, message }
  if (cert.spiffeId?.trustDomain === trustDomain) return null
  return {
    code: 'svid_trust_domain',
    message: `expected an id of ${trustDomain}, got ${JSON.stringify(cert.uris[0] ?? '')}`,
  }
}

type LeafRule = readonly [code: string, message: string, holds: (cert: PeerCertificate) => boolean]

const LEAF_RULES: readonly LeafRule[] = [
  ['svid_version', 'expected X.509 version 3', ({ version }) => version === 3],
  ['svid_serial', 'expected a positive serial number of at most 20 octets', ({ serialValid }) => serialValid],
  ['svid_signature_algorithm', 'expected ecdsa-with-SHA256', ({ signature }) => signature !== null],
  ['svid_key', 'expected a P-256 public key', ({ publicJwk }) => publicJwk !== null],
  [
    'svid_critical_extension',
    'a critical extension that is not understood',
    (cert) => cert.extensions.unknownCritical.length === 0,
  ],
  ['svid_ca', 'expected a leaf, got a signing certificate', (cert) => !cert.isCa && !pathLengthGiven(cert)],
  [
    'svid_key_usage',
    'expected critical key usage with digitalSignature and without keyCertSign and cRLSign',
    leafKeyUsage,
  ],
  ['svid_extended_key_usage', 'expected serverAuth and clientAuth', leafPurposes],
  ['svid_uri', 'expected exactly one URI name', ({ uris }) => uris.length === 1],
  ['svid_san_critical', 'expected critical names beside an empty subject', sanCriticality],
  ['svid_id', 'expected a SPIFFE ID as URI name', ({ spiffeId }) => spiffeId !== null],
  [
    'svid_path',
    'expected a SPIFFE ID with a path',
    ({ spiffeId }) => spiffeId !== null && spiffeId.segments.length > 0,
  ],
  ['svid_validity', 'expected notBefore before notAfter', ({ notBefore, notAfter }) => notBefore < notAfter],
]

function pathLengthGiven(cert: PeerCertificate): boolean {
  return (cert.extensions.basicConstraints?.pathLength ?? null) !== null
}

function leafKeyUsage({ extensions: { keyUsage } }: PeerCertificate): boolean {
  return (
    keyUsage !== null && keyUsage.critical && keyUsage.digitalSignature && !keyUsage.keyCertSign && !keyUsage.crlSign
  )
}

function leafPurposes({ extensions: { extendedKeyUsage } }: PeerCertificate): boolean {
  if (extendedKeyUsage === null || !extendedKeyUsage.includes(SERVER_AUTH) || !extendedKeyUsage.includes(CLIENT_AUTH))
    return false
  return extendedKeyUsage.every((purpose) => purpose === SERVER_AUTH || purpose === CLIENT_AUTH)
}

function sanCriticality({ subjectName, extensions }: PeerCertificate): boolean {
  return subjectName.length > EMPTY_NAME_BYTES || extensions.subjectAltNames?.critical === true
}
