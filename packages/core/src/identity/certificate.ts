/** X.509 certificates of peers: what they say (RFC 5280 §4.1). Whether that is fit for anything is judged elsewhere. */

import { hex, toBase64url } from '../bytes.ts'
import { isDoorwardError } from '../error.ts'
import type { P256Jwk, Sha256 } from '../primitives.ts'
import type { EpochSeconds } from '../time.ts'
import { readExtensions } from './certificate-extensions.ts'
import type { CertificateExtensions } from './certificate-extensions.ts'
import { derError, expectTag, oidText, TAG } from './der.ts'
import type { DerNode } from './der.ts'
import { p256JwkOfSpki } from './jwk.ts'
import { expectSameAlgorithm, parts, readSigned, readTime } from './signed-der.ts'
import type { SignedDer } from './signed-der.ts'
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
  /** Object identifier of the algorithm of its signature. */
  readonly signatureAlgorithm: string
  /** r ‖ s; null for any algorithm but ecdsa-with-SHA256, or a signature that is not strict DER. */
  readonly signature: Uint8Array | null
}

export interface CertificateProblem {
  /** `certificate_too_large` or `certificate_malformed`. */
  readonly problem: string
  readonly message: string
}

const MAX_BYTES = 8192

/** Reads one DER certificate of at most 8 KiB (RFC 5280 §4.1). Never throws on input. Verifies no signature and no profile. */
export function readCertificate(
  der: Uint8Array,
  { sha256 }: { readonly sha256: Sha256 },
): PeerCertificate | CertificateProblem {
  if (der.length > MAX_BYTES)
    return { problem: 'certificate_too_large', message: `${der.length} bytes, at most ${MAX_BYTES}` }
  try {
    // A copy: what was judged cannot be changed through the caller's buffer.
    return certificateOf(readSigned(new Uint8Array(der), 'a certificate'), sha256)
  } catch (error) {
    if (!isDoorwardError(error, 'der_invalid')) throw error
    return { problem: 'certificate_malformed', message: error.message }
  }
}

function certificateOf(signed: SignedDer, sha256: Sha256): PeerCertificate {
  const fields = [...signed.fields]
  const version = fields[0]?.tag === 0xa0 ? readVersion(fields.shift()!) : 1
  const [serial, innerAlgorithm, issuer, validity, subject, spki, ...rest] = fields
  expectSameAlgorithm(signed, innerAlgorithm)
  const { content } = expectTag(serial, TAG.integer, 'a serial number')
  const [notBefore, notAfter] = parts(validity, 2, 'a validity')
  const extensions = readExtensions(extensionsOf(rest, version))
  const publicKeySpki = expectTag(spki, TAG.sequence, 'a public key').bytes
  return {
    der: signed.bytes,
    fingerprint: toBase64url(sha256(signed.bytes)),
    version,
    ...readSerial(content),
    ...namesOf(extensions),
    isCa: extensions.basicConstraints?.ca === true,
    notBefore: readTime(notBefore!),
    notAfter: readTime(notAfter!),
    subjectKeyId: extensions.subjectKeyId,
    authorityKeyId: extensions.authorityKey?.keyId ?? null,
    extensions,
    issuerName: expectTag(issuer, TAG.sequence, 'an issuer').bytes,
    subjectName: expectTag(subject, TAG.sequence, 'a subject').bytes,
    publicKeySpki,
    publicJwk: p256JwkOfSpki(publicKeySpki),
    tbs: signed.tbs,
    signatureAlgorithm: oidText(expectTag(signed.algorithm.children[0], TAG.oid, 'an algorithm identifier')),
    signature: signed.signature,
  }
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
