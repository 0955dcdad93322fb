/** The certificate extensions that decide anything here (RFC 5280 §4.2.1), read from strict DER. */

import { hex } from '../bytes.ts'
import { derError, expectTag, oidText, readDer, TAG } from './der.ts'
import type { DerNode } from './der.ts'

export interface KeyUsage {
  readonly critical: boolean
  readonly digitalSignature: boolean
  readonly keyCertSign: boolean
  readonly crlSign: boolean
}

export interface BasicConstraints {
  readonly critical: boolean
  readonly ca: boolean
  readonly pathLength: number | null
}

export interface SubjectAltNames {
  readonly critical: boolean
  readonly uris: readonly string[]
  readonly dnsNames: readonly string[]
  /** Textual: dotted IPv4, or eight groups of IPv6 without leading zeros or compression. */
  readonly ipAddresses: readonly string[]
}

export interface AuthorityKey {
  /** Lowercase hex; null when the issuer is named in another way. */
  readonly keyId: string | null
  /** Names the issuer in another way as well. */
  readonly more: boolean
}

export interface CertificateExtensions {
  readonly keyUsage: KeyUsage | null
  /** Object identifiers of the purposes. */
  readonly extendedKeyUsage: readonly string[] | null
  readonly basicConstraints: BasicConstraints | null
  readonly subjectAltNames: SubjectAltNames | null
  /** Lowercase hex. */
  readonly subjectKeyId: string | null
  readonly authorityKey: AuthorityKey | null
  /**
   * Critical extensions of any other kind, and those that restrict paths even where they are not marked critical, as they
   * must be: nothing may rely on a certificate that has one.
   */
  readonly unknownCritical: readonly string[]
}

export const EXTENSION = {
  subjectKeyId: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  authorityKeyId: '2.5.29.35',
  extendedKeyUsage: '2.5.29.37',
} as const

/** Name constraints, policy constraints and inhibitAnyPolicy: always critical (RFC 5280 §4.2.1.10, .11, .14). */
const RESTRICTIONS: readonly string[] = ['2.5.29.30', '2.5.29.36', '2.5.29.54']

export interface RawExtension {
  readonly critical: boolean
  readonly value: Uint8Array
}

const MAX_EXTENSIONS = 32

/** Reads the `Extensions` sequence; undefined means that the certificate has none. Throws `der_invalid`. */
export function readExtensions(sequence: DerNode | undefined): CertificateExtensions {
  const raw = sequence === undefined ? new Map<string, RawExtension>() : rawExtensions(sequence)
  const read = <T>(oid: string, parse: (node: DerNode, critical: boolean) => T): T | null => {
    const found = raw.get(oid)
    return found === undefined ? null : parse(readDer(found.value), found.critical)
  }
  const known: readonly string[] = Object.values(EXTENSION)
  return {
    keyUsage: read(EXTENSION.keyUsage, readKeyUsage),
    extendedKeyUsage: read(EXTENSION.extendedKeyUsage, readPurposes),
    basicConstraints: read(EXTENSION.basicConstraints, readBasicConstraints),
    subjectAltNames: read(EXTENSION.subjectAltName, readSubjectAltNames),
    subjectKeyId: read(EXTENSION.subjectKeyId, readSubjectKeyId),
    authorityKey: read(EXTENSION.authorityKeyId, readAuthorityKey),
    unknownCritical: [...raw]
      .filter(([oid, { critical }]) => (critical && !known.includes(oid)) || RESTRICTIONS.includes(oid))
      .map(([oid]) => oid),
  }
}

/** Extensions by object identifier, values unread. Throws `der_invalid`, also on one that comes twice. */
export function rawExtensions(sequence: DerNode): Map<string, RawExtension> {
  const { children } = expectTag(sequence, TAG.sequence, 'the extensions')
  if (children.length === 0 || children.length > MAX_EXTENSIONS) throw derError(`${children.length} extensions`)
  const out = new Map<string, RawExtension>()
  for (const child of children) {
    const parts = expectTag(child, TAG.sequence, 'an extension').children
    const flag = parts.length === 3 ? expectTag(parts[1], TAG.boolean, 'a criticality flag') : null
    if (parts.length < 2 || parts.length > 3) throw derError('an extension with other than two or three parts')
    if (flag?.content[0] === 0) throw derError('an encoded default criticality')
    const oid = oidText(parts[0]!)
    if (out.has(oid)) throw derError(`extension ${oid} twice`)
    const value = expectTag(parts.at(-1), TAG.octetString, 'an extension value').content
    if (!isOneValue(value)) throw derError(`extension ${oid} without a value`)
    out.set(oid, { critical: flag !== null, value })
  }
  return out
}

/** Whatever the extension: it holds the DER of one value (RFC 5280 §4.2). Of which type is for those who know it. */
function isOneValue(bytes: Uint8Array): boolean {
  const first = bytes[1]
  if (first === undefined) return false
  if (first < 0x80) return bytes.length === 2 + first
  const count = first & 0x7f
  if (count === 0 || count > 3 || bytes.length < 2 + count) return false
  const length = bytes.subarray(2, 2 + count).reduce((value, byte) => value * 256 + byte, 0)
  return bytes.length === 2 + count + length
}

function readKeyUsage(node: DerNode, critical: boolean): KeyUsage {
  const { content } = expectTag(node, TAG.bitString, 'key usage bits')
  const last = content[content.length - 1]!
  const padded = content.length > 1 && (last & (1 << content[0]!)) === 0
  if (content.length < 2 || content.length > 3 || padded)
    throw derError('key usage that is empty or has trailing zero bits')
  const bits = content[1]!
  return {
    critical,
    digitalSignature: (bits & 0x80) !== 0,
    keyCertSign: (bits & 0x04) !== 0,
    crlSign: (bits & 0x02) !== 0,
  }
}

function readPurposes(node: DerNode): readonly string[] {
  const { children } = expectTag(node, TAG.sequence, 'key purposes')
  if (children.length === 0) throw derError('an empty list of key purposes')
  return children.map(oidText)
}

function readBasicConstraints(node: DerNode, critical: boolean): BasicConstraints {
  const { children } = expectTag(node, TAG.sequence, 'basic constraints')
  const flag = children[0]?.tag === TAG.boolean ? children[0] : undefined
  const rest = flag === undefined ? children : children.slice(1)
  if (flag?.content[0] === 0 || rest.length > 1)
    throw derError('basic constraints with an encoded default or more parts')
  const path = rest.length === 0 ? null : expectTag(rest[0], TAG.integer, 'a path length').content
  if (path !== null && (path.length !== 1 || path[0]! > 0x7f))
    throw derError('a path length that is negative or above 127')
  return { critical, ca: flag !== undefined, pathLength: path === null ? null : path[0]! }
}

function readSubjectKeyId(node: DerNode, critical: boolean): string {
  if (critical) throw derError('a critical subject key identifier')
  return hex(expectTag(node, TAG.octetString, 'a key identifier').content)
}

/** Throws `der_invalid`, also when the extension is critical (RFC 5280 §4.2.1.1). */
export function readAuthorityKey(node: DerNode, critical: boolean): AuthorityKey {
  if (critical) throw derError('a critical authority key identifier')
  const { children } = expectTag(node, TAG.sequence, 'an authority key identifier')
  const id = children.find(({ tag }) => tag === 0x80)
  return { keyId: id === undefined ? null : hex(id.content), more: children.some(({ tag }) => tag !== 0x80) }
}

const NAME = { email: 0x81, dns: 0x82, uri: 0x86, ip: 0x87 } as const

function readSubjectAltNames(node: DerNode, critical: boolean): SubjectAltNames {
  const { children } = expectTag(node, TAG.sequence, 'subject alternative names')
  if (children.length === 0) throw derError('an empty list of subject alternative names')
  const texts = (tag: number) => children.filter((name) => name.tag === tag).map(visibleText)
  texts(NAME.email)
  return {
    critical,
    uris: texts(NAME.uri),
    dnsNames: texts(NAME.dns),
    ipAddresses: children.filter(({ tag }) => tag === NAME.ip).map(addressText),
  }
}

/** Names are visible ASCII: a control character or a space is how one name has been made to look like two. */
function visibleText({ content }: DerNode): string {
  if (!content.every((byte) => byte > 0x20 && byte < 0x7f))
    throw derError('a name with a character that is not visible ASCII')
  return String.fromCharCode(...content)
}

function addressText({ content }: DerNode): string {
  if (content.length === 4) return content.join('.')
  if (content.length !== 16) throw derError('an address of other than 4 or 16 bytes')
  const groups: string[] = []
  for (let i = 0; i < 16; i += 2) groups.push(((content[i]! << 8) | content[i + 1]!).toString(16))
  return groups.join(':')
}
