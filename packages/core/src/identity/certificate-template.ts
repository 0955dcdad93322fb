/** Certificates that the authority issues: what they contain, and how a template becomes DER. The request contributes only a key. */

import { AsnConvert, OctetString } from '@peculiar/asn1-schema'
import {
  AlgorithmIdentifier,
  AttributeTypeAndValue,
  AttributeValue,
  AuthorityKeyIdentifier,
  BasicConstraints,
  Certificate,
  ExtendedKeyUsage,
  Extension,
  Extensions,
  GeneralName,
  KeyIdentifier,
  KeyUsage,
  KeyUsageFlags,
  Name,
  RelativeDistinguishedName,
  SubjectAlternativeName,
  SubjectKeyIdentifier,
  SubjectPublicKeyInfo,
  TBSCertificate,
  Validity,
  id_kp_clientAuth,
  id_kp_serverAuth,
} from '@peculiar/asn1-x509'
import { DoorwardError } from '../error.ts'
import type { RandomBytes, SignKey } from '../primitives.ts'
import type { EpochSeconds } from '../time.ts'
import { EXTENSION } from './certificate-extensions.ts'
import { ecdsaToDer } from './ecdsa-signature.ts'
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

/** An X.509-SVID leaf (reference ids X5-1 … X5-5): empty subject, critical names, both key purposes. Throws `certificate_template_invalid`. */
export function svidTemplate(contents: SvidContents): CertificateTemplate {
  if (contents.spiffeId.segments.length === 0) throw templateError('a leaf needs a SPIFFE ID with a path')
  return checked({
    ...plain(contents),
    issuer: contents.issuer.name,
    subject: null,
    extensions: [
      keyUsage(KeyUsageFlags.digitalSignature),
      purposes(id_kp_serverAuth, id_kp_clientAuth),
      extension(EXTENSION.basicConstraints, true, new BasicConstraints()),
      authorityKeyId(contents.issuer.keyId),
      names([
        new GeneralName({ uniformResourceIdentifier: contents.spiffeId.uri }),
        ...(contents.dnsNames ?? []).map((dNSName) => new GeneralName({ dNSName })),
        ...(contents.ipAddresses ?? []).map((iPAddress) => new GeneralName({ iPAddress })),
      ]),
    ],
  })
}

/** A signing authority's own trust anchor (CA-1): self-signed, no path below it, named by the trust domain. Throws `certificate_template_invalid`. */
export function anchorTemplate(contents: AnchorContents): CertificateTemplate {
  const name = anchorName(contents.trustDomain, contents.keyId)
  const subjectKeyId = new SubjectKeyIdentifier(fromHex(contents.keyId))
  return checked({
    ...plain(contents),
    issuer: name,
    subject: name,
    extensions: [
      keyUsage(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign),
      extension(EXTENSION.basicConstraints, true, new BasicConstraints({ cA: true, pathLenConstraint: 0 })),
      extension(EXTENSION.subjectKeyId, false, subjectKeyId),
      authorityKeyId(contents.keyId),
      names([new GeneralName({ uniformResourceIdentifier: `spiffe://${contents.trustDomain}` })], false),
    ],
  })
}

/** The throw-away client certificate of an enrolment: it proves a key and names nobody. Throws `certificate_template_invalid`. */
export function selfSignedForKey(contents: Contents): CertificateTemplate {
  return checked({
    ...plain(contents),
    issuer: 'doorward enrolment',
    subject: 'doorward enrolment',
    extensions: [
      keyUsage(KeyUsageFlags.digitalSignature),
      purposes(id_kp_clientAuth),
      extension(EXTENSION.basicConstraints, true, new BasicConstraints()),
    ],
  })
}

/** Encodes and signs the template with ES256. Throws `certificate_template_invalid`, or what custody throws. */
export async function buildCertificate(template: CertificateTemplate, signKey: SignKey): Promise<Uint8Array> {
  const algorithm = ecdsaWithSha256()
  const tbs = new TBSCertificate({
    version: 2,
    serialNumber: fromHex(template.serial),
    signature: algorithm,
    issuer: nameOf(template.issuer),
    validity: new Validity({ notBefore: dateOf(template.notBefore), notAfter: dateOf(template.notAfter) }),
    subject: nameOf(template.subject),
    subjectPublicKeyInfo: AsnConvert.parse(template.publicKey, SubjectPublicKeyInfo),
    extensions: new Extensions(template.extensions.map(asn1Extension)),
  })
  const signature = ecdsaToDer(await signKey.sign(new Uint8Array(AsnConvert.serialize(tbs))))
  const certificate = new Certificate({
    tbsCertificate: tbs,
    signatureAlgorithm: algorithm,
    signatureValue: signature.slice().buffer,
  })
  return new Uint8Array(AsnConvert.serialize(certificate))
}

export function ecdsaWithSha256(): AlgorithmIdentifier {
  return new AlgorithmIdentifier({ algorithm: '1.2.840.10045.4.3.2' })
}

export function asn1Extension({ oid, critical, value }: TemplateExtension): Extension {
  return new Extension({ extnID: oid, critical, extnValue: new OctetString(value) })
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

function extension(oid: string, critical: boolean, value: object): TemplateExtension {
  return { oid, critical, value: new Uint8Array(AsnConvert.serialize(value)) }
}

function keyUsage(flags: number): TemplateExtension {
  return extension(EXTENSION.keyUsage, true, new KeyUsage(flags))
}

function purposes(...oids: readonly string[]): TemplateExtension {
  return extension(EXTENSION.extendedKeyUsage, false, new ExtendedKeyUsage([...oids]))
}

export function authorityKeyId(keyId: string): TemplateExtension {
  const keyIdentifier = new KeyIdentifier(fromHex(keyId))
  return extension(EXTENSION.authorityKeyId, false, new AuthorityKeyIdentifier({ keyIdentifier }))
}

function names(list: GeneralName[], critical = true): TemplateExtension {
  return extension(EXTENSION.subjectAltName, critical, new SubjectAlternativeName(list))
}

export function nameOf(commonName: string | null): Name {
  if (commonName === null) return new Name([])
  const value = new AttributeValue({ utf8String: commonName })
  return new Name([new RelativeDistinguishedName([new AttributeTypeAndValue({ type: '2.5.4.3', value })])])
}

export function dateOf(time: EpochSeconds): Date {
  return new Date(time * 1000)
}

export function fromHex(text: string): ArrayBuffer {
  const bytes = new Uint8Array(text.length / 2)
  for (let i = 0; i < bytes.length; i++) bytes[i] = Number.parseInt(text.slice(2 * i, 2 * i + 2), 16)
  return bytes.buffer
}
