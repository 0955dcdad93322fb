/** Certificates that the authority issues: what they contain, and how a template becomes DER. The request contributes only a key. */

import { utf8 } from '../bytes.ts'
import { DoorwardError } from '../error.ts'
import type { RandomBytes, SignKey } from '../primitives.ts'
import type { EpochSeconds } from '../time.ts'
import { EXTENSION } from './certificate-extensions.ts'
import {
  derBits,
  derBoolean,
  derInteger,
  derNamedBits,
  derOctets,
  derOid,
  derSequence,
  derTagged,
  derTime,
  derUtf8,
  derValue,
} from './der-writer.ts'
import { TAG } from './der.ts'
import { ecdsaToDer } from './ecdsa-signature.ts'
import { ipOctets } from './ip-octets.ts'
import { p256JwkOfSpki } from './jwk.ts'
import type { SpiffeId, TrustDomain } from './spiffe-id.ts'

/** Who signs: the common name and key identifier of an anchor. */
export interface IssuerName {
  readonly name: string
  /** Lowercase hex of the subject key identifier. */
  readonly keyId: string
}

export interface CertificateTemplate {
  /** Lowercase hex, a positive number of at most 20 octets. */
  readonly serial: string
  /** Common names; null is the empty name. */
  readonly issuer: string
  readonly subject: string | null
  readonly notBefore: EpochSeconds
  readonly notAfter: EpochSeconds
  /** DER SubjectPublicKeyInfo of a P-256 key. */
  readonly publicKey: Uint8Array
  readonly extensions: readonly TemplateExtension[]
}

export interface TemplateExtension {
  readonly oid: string
  readonly critical: boolean
  /** DER. */
  readonly value: Uint8Array
}

interface Contents {
  readonly publicKey: Uint8Array
  readonly serial: string
  readonly notBefore: EpochSeconds
  readonly notAfter: EpochSeconds
}

export interface SvidContents extends Contents {
  readonly spiffeId: SpiffeId
  readonly issuer: IssuerName
  /** For clients that dial by name; none by default. */
  readonly dnsNames?: readonly string[]
  /** Textual IPv4 or IPv6; none by default. */
  readonly ipAddresses?: readonly string[]
}

export interface AnchorContents extends Contents {
  readonly trustDomain: TrustDomain
  /** Lowercase hex, from `keyIdOf`. */
  readonly keyId: string
}

/** A serial number of 127 random bits with a non-zero first octet, lowercase hex. */
export function newSerial(random: RandomBytes): string {
  const bytes = random(16)
  bytes[0] = (bytes[0]! & 0x3f) | 0x40
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

/** The common name of an anchor: unique per key, so that path builders that look at names find one issuer. */
export function anchorName(trustDomain: string, keyId: string): string {
  return `${trustDomain.slice(0, 40)} ${keyId.slice(0, 16)}`
}

/** Bits of KeyUsage (RFC 5280 §4.2.1.3), the first named bit in the highest place. */
const USAGE = { digitalSignature: 0x80, keyCertSign: 0x04, cRLSign: 0x02 } as const
const PURPOSE = { serverAuth: '1.3.6.1.5.5.7.3.1', clientAuth: '1.3.6.1.5.5.7.3.2' } as const
/** Tags of GeneralName (RFC 5280 §4.2.1.6). */
const NAME = { dns: 2, uri: 6, ip: 7 } as const

/** An X.509-SVID leaf (reference ids X5-1 … X5-5): empty subject, critical names, both key purposes. Throws `certificate_template_invalid`. */
export function svidTemplate(contents: SvidContents): CertificateTemplate {
  if (contents.spiffeId.segments.length === 0) throw templateError('a leaf needs a SPIFFE ID with a path')
  return checked({
    ...plain(contents),
    issuer: contents.issuer.name,
    subject: null,
    extensions: [
      keyUsage(USAGE.digitalSignature),
      purposes(PURPOSE.serverAuth, PURPOSE.clientAuth),
      notAnAuthority,
      authorityKeyId(contents.issuer.keyId),
      names([
        generalName(NAME.uri, utf8(contents.spiffeId.uri)),
        ...(contents.dnsNames ?? []).map((name) => generalName(NAME.dns, utf8(name))),
        ...(contents.ipAddresses ?? []).map((address) => generalName(NAME.ip, octetsOf(address))),
      ]),
    ],
  })
}

/** A signing authority's own trust anchor (CA-1): self-signed, no path below it, named by the trust domain. Throws `certificate_template_invalid`. */
export function anchorTemplate(contents: AnchorContents): CertificateTemplate {
  const name = anchorName(contents.trustDomain, contents.keyId)
  return checked({
    ...plain(contents),
    issuer: name,
    subject: name,
    extensions: [
      keyUsage(USAGE.keyCertSign | USAGE.cRLSign),
      { oid: EXTENSION.basicConstraints, critical: true, value: derSequence(derBoolean(true), derInteger(noPath)) },
      { oid: EXTENSION.subjectKeyId, critical: false, value: derOctets(fromHex(contents.keyId)) },
      authorityKeyId(contents.keyId),
      names([generalName(NAME.uri, utf8(`spiffe://${contents.trustDomain}`))], false),
    ],
  })
}

const noPath = Uint8Array.of(0)

/** The throw-away client certificate of an enrolment: it proves a key and names nobody. Throws `certificate_template_invalid`. */
export function selfSignedForKey(contents: Contents): CertificateTemplate {
  return checked({
    ...plain(contents),
    issuer: 'doorward enrolment',
    subject: 'doorward enrolment',
    extensions: [keyUsage(USAGE.digitalSignature), purposes(PURPOSE.clientAuth), notAnAuthority],
  })
}

/** Encodes and signs the template with ES256 (RFC 5280 §4.1). Throws `certificate_template_invalid`, or what custody throws. */
export async function buildCertificate(template: CertificateTemplate, signKey: SignKey): Promise<Uint8Array> {
  const tbs = derSequence(
    derTagged(0, 'constructed', derInteger(Uint8Array.of(2))),
    derInteger(fromHex(template.serial)),
    ecdsaWithSha256,
    nameOf(template.issuer),
    derSequence(derTime(template.notBefore), derTime(template.notAfter)),
    nameOf(template.subject),
    template.publicKey,
    derTagged(3, 'constructed', derSequence(...template.extensions.map(derExtension))),
  )
  return signedDer(tbs, signKey)
}

/** The signed part, the algorithm and the signature: the form of certificates and revocation lists. */
export async function signedDer(tbs: Uint8Array, signKey: SignKey): Promise<Uint8Array> {
  return derSequence(tbs, ecdsaWithSha256, derBits(ecdsaToDer(await signKey.sign(tbs))))
}

/** AlgorithmIdentifier (RFC 5758 §3.2). */
export const ecdsaWithSha256 = derSequence(derOid('1.2.840.10045.4.3.2'))

export function derExtension({ oid, critical, value }: TemplateExtension): Uint8Array {
  return critical
    ? derSequence(derOid(oid), derBoolean(true), derOctets(value))
    : derSequence(derOid(oid), derOctets(value))
}

function plain({ publicKey, serial, notBefore, notAfter }: Contents): Contents {
  return { publicKey, serial, notBefore, notAfter }
}

function checked(template: CertificateTemplate): CertificateTemplate {
  if (!/^(?:[0-7][0-9a-f])(?:[0-9a-f]{2}){0,19}$/.test(template.serial) || /^0+$/.test(template.serial)) {
    throw templateError('expected a positive serial number of at most 20 octets in lowercase hex')
  }
  if (template.serial.startsWith('00')) throw templateError('expected a serial number without leading zero octets')
  if (template.notBefore >= template.notAfter) throw templateError('expected notBefore before notAfter')
  if (p256JwkOfSpki(template.publicKey) === null) throw templateError('expected a P-256 public key')
  return template
}

function templateError(message: string): DoorwardError {
  return new DoorwardError('certificate_template_invalid', message)
}

/** cA is FALSE by default, and a default is not encoded. */
const notAnAuthority: TemplateExtension = { oid: EXTENSION.basicConstraints, critical: true, value: derSequence() }

function keyUsage(bits: number): TemplateExtension {
  return { oid: EXTENSION.keyUsage, critical: true, value: derNamedBits(bits) }
}

function purposes(...oids: readonly string[]): TemplateExtension {
  return { oid: EXTENSION.extendedKeyUsage, critical: false, value: derSequence(...oids.map(derOid)) }
}

export function authorityKeyId(keyId: string): TemplateExtension {
  const value = derSequence(derTagged(0, 'primitive', fromHex(keyId)))
  return { oid: EXTENSION.authorityKeyId, critical: false, value }
}

function names(list: readonly Uint8Array[], critical = true): TemplateExtension {
  return { oid: EXTENSION.subjectAltName, critical, value: derSequence(...list) }
}

function generalName(tag: number, content: Uint8Array): Uint8Array {
  return derTagged(tag, 'primitive', content)
}

function octetsOf(address: string): Uint8Array {
  const octets = ipOctets(address)
  if (octets === null) throw templateError('expected textual IPv4 or IPv6 addresses')
  return octets
}

/** A name of one common name; null is the empty name. */
export function nameOf(commonName: string | null): Uint8Array {
  if (commonName === null) return derSequence()
  return derSequence(derValue(TAG.set, derSequence(derOid('2.5.4.3'), derUtf8(commonName))))
}

export function fromHex(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length / 2)
  for (let i = 0; i < bytes.length; i++) bytes[i] = Number.parseInt(text.slice(2 * i, 2 * i + 2), 16)
  return bytes
}
