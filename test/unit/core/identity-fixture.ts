import { createPublicKey, generateKeyPairSync, sign } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import {
  anchorName,
  anchorTemplate,
  buildCertificate,
  chainsToAnchor,
  checkSvidLeaf,
  concat,
  ecdsaToDer,
  epochSeconds,
  keyIdOf,
  newSerial,
  parseTrustDomain,
  readCertificate,
  svidTemplate,
  utf8,
  workloadId,
} from '@doorward/core'
import type { EpochSeconds, IssuerName, PeerCertificate, SignKey, TrustDomain } from '@doorward/core'
import { generateP256, importP256, randomBytes, sha256 } from '@doorward/sdk'
import type { P256KeyPair } from '@doorward/sdk'

export const trustDomain = parseTrustDomain('example.org')
export const now = epochSeconds(1_800_000_000)

export function after(seconds: number): EpochSeconds {
  return epochSeconds(now + seconds)
}

export interface Authority {
  readonly key: P256KeyPair
  readonly certificate: PeerCertificate
  readonly issuer: IssuerName
}

export async function makeAuthority(domain: TrustDomain = trustDomain, lifetimeSeconds = 604_800): Promise<Authority> {
  const key = await generateP256()
  const keyId = keyIdOf(key.jwk, sha256)
  const template = anchorTemplate({
    trustDomain: domain,
    keyId,
    publicKey: key.spki,
    serial: newSerial(randomBytes),
    notBefore: after(-60),
    notAfter: after(lifetimeSeconds),
  })
  const certificate = mustRead(await buildCertificate(template, key.signKey))
  return { key, certificate, issuer: { name: anchorName(domain, keyId), keyId } }
}

export async function issue(authority: Authority, name = 'planner', lifetimeSeconds = 3600): Promise<PeerCertificate> {
  const { spki } = await generateP256()
  const template = svidTemplate({
    spiffeId: workloadId(trustDomain, 'agent', name),
    publicKey: spki,
    serial: newSerial(randomBytes),
    notBefore: after(-60),
    notAfter: after(lifetimeSeconds),
    issuer: authority.issuer,
  })
  return mustRead(await buildCertificate(template, authority.key.signKey))
}

export function mustRead(der: Uint8Array): PeerCertificate {
  const certificate = readCertificate(der, { sha256 })
  if ('problem' in certificate) throw new Error(`${certificate.problem}: ${certificate.message}`)
  return certificate
}

/** One DER value. */
export function der(tag: number, ...content: readonly Uint8Array[]): Uint8Array {
  const body = concat(...content)
  const length =
    body.length < 128
      ? [body.length]
      : body.length < 256
        ? [0x81, body.length]
        : [0x82, body.length >> 8, body.length & 0xff]
  return concat(Uint8Array.of(tag, ...length), body)
}

export function hexBytes(text: string): Uint8Array {
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16))
}

export function oid(hexContent: string): Uint8Array {
  return der(0x06, hexBytes(hexContent))
}

export const YES = Uint8Array.of(1, 1, 0xff)
export const NO = Uint8Array.of(1, 1, 0)

/** One extension; the last two hex digits of the arc under 2.5.29. */
export function extension(arc: string, critical: boolean | Uint8Array, value: Uint8Array): Uint8Array {
  return extensionOf(`551d${arc}`, critical, value)
}

/** One extension by the hex of its object identifier. */
export function extensionOf(id: string, critical: boolean | Uint8Array, value: Uint8Array): Uint8Array {
  const flag = critical === true ? YES : critical === false ? new Uint8Array() : critical
  return der(0x30, oid(id), flag, der(0x04, value))
}

export function uriNames(...uris: readonly string[]): Uint8Array {
  return der(0x30, ...uris.map((uri) => der(0x86, utf8(uri))))
}

/** A name of one common name. */
export function commonName(text: string): Uint8Array {
  return der(0x30, der(0x31, der(0x30, oid('550403'), der(0x0c, utf8(text)))))
}

export function time(text: string): Uint8Array {
  return der(text.length === 13 ? 0x17 : 0x18, utf8(text))
}

export const ecdsaSha256 = der(0x30, oid('2a8648ce3d040302'))
export const purposes = (...arcs: readonly string[]) => der(0x30, ...arcs.map((arc) => oid(`2b060105050703${arc}`)))

/** The parts of a leaf; each may be replaced by other bytes. */
export interface LeafParts {
  version: Uint8Array
  serial: Uint8Array
  algorithm: Uint8Array
  outerAlgorithm: Uint8Array
  issuer: Uint8Array
  validity: Uint8Array
  subject: Uint8Array
  spki: Uint8Array
  uniqueIds: Uint8Array
  keyUsage: Uint8Array
  extendedKeyUsage: Uint8Array
  basicConstraints: Uint8Array
  authorityKeyId: Uint8Array
  names: Uint8Array
  more: Uint8Array
  /** Replaces all extensions, tag [3] included. */
  extensions: Uint8Array | null
  /** After the signature, inside the certificate. */
  tail: Uint8Array
}

export function goodLeaf(authority: Pick<Authority, 'certificate' | 'issuer'>, key: KeyObject | Uint8Array): LeafParts {
  const spki =
    key instanceof Uint8Array ? key : new Uint8Array(createPublicKey(key).export({ type: 'spki', format: 'der' }))
  return {
    version: der(0xa0, Uint8Array.of(2, 1, 2)),
    serial: der(0x02, hexBytes('1234567890')),
    algorithm: ecdsaSha256,
    outerAlgorithm: ecdsaSha256,
    issuer: authority.certificate.subjectName,
    validity: der(0x30, time('270115075900Z'), time('270115090000Z')),
    subject: der(0x30),
    spki,
    uniqueIds: new Uint8Array(),
    keyUsage: extension('0f', true, Uint8Array.of(3, 2, 7, 0x80)),
    extendedKeyUsage: extension('25', false, purposes('01', '02')),
    basicConstraints: extension('13', true, der(0x30)),
    authorityKeyId: extension('23', false, der(0x30, der(0x80, hexBytes(authority.issuer.keyId)))),
    names: extension('11', true, uriNames('spiffe://example.org/agent/planner')),
    more: new Uint8Array(),
    extensions: null,
    tail: new Uint8Array(),
  }
}

/** The parts of the authority's own certificate, as those of a leaf. */
export function goodAnchor(authority: Authority): LeafParts {
  const keyId = hexBytes(authority.issuer.keyId)
  return {
    ...goodLeaf(authority, authority.key.privateKey),
    subject: authority.certificate.subjectName,
    validity: der(0x30, time('270114080000Z'), time('270122080000Z')),
    keyUsage: extension('0f', true, Uint8Array.of(3, 2, 1, 0x06)),
    extendedKeyUsage: new Uint8Array(),
    basicConstraints: extension('13', true, der(0x30, YES, Uint8Array.of(2, 1, 0))),
    names: extension('11', false, uriNames('spiffe://example.org')),
    more: extension('0e', false, der(0x04, keyId)),
  }
}

export function assemble(parts: LeafParts, signer: KeyObject): Uint8Array {
  const tbs = signedPart(parts)
  return enclosed(parts, tbs, new Uint8Array(sign('sha256', tbs, signer)))
}

/** The same by a key in custody: ES256 alone. */
export async function assembleBy(parts: LeafParts, signer: SignKey): Promise<Uint8Array> {
  const tbs = signedPart(parts)
  return enclosed(parts, tbs, ecdsaToDer(await signer.sign(tbs)))
}

function signedPart(parts: LeafParts): Uint8Array {
  const list = [
    parts.keyUsage,
    parts.extendedKeyUsage,
    parts.basicConstraints,
    parts.authorityKeyId,
    parts.names,
    parts.more,
  ]
  const extensions = parts.extensions ?? der(0xa3, der(0x30, ...list))
  const { version, serial, algorithm, issuer, validity, subject, spki, uniqueIds } = parts
  return der(0x30, version, serial, algorithm, issuer, validity, subject, spki, uniqueIds, extensions)
}

function enclosed(parts: LeafParts, tbs: Uint8Array, signature: Uint8Array): Uint8Array {
  return der(0x30, tbs, parts.outerAlgorithm, der(0x03, Uint8Array.of(0), signature), parts.tail)
}

/** The first code that refuses the certificate at reading, profile or chain; null when all accept. */
export function leafVerdict(bytes: Uint8Array, anchors: readonly PeerCertificate[]): string | null {
  const certificate = readCertificate(bytes, { sha256 })
  if ('problem' in certificate) return certificate.problem
  const profile = checkSvidLeaf(certificate, trustDomain)
  if (profile !== null) return profile.code
  const anchor = chainsToAnchor(certificate, anchors, now, importP256)
  return 'code' in anchor ? anchor.code : null
}

/** A public key of another kind than ours. */
export const spkiOf = (kind: 'rsa' | 'p384' | 'ed25519'): Uint8Array => {
  const { publicKey } =
    kind === 'rsa'
      ? generateKeyPairSync('rsa', { modulusLength: 2048 })
      : kind === 'p384'
        ? generateKeyPairSync('ec', { namedCurve: 'P-384' })
        : generateKeyPairSync('ed25519')
  return new Uint8Array(publicKey.export({ type: 'spki', format: 'der' }))
}
