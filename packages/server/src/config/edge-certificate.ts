/** The certificate by which hosts know the edge: whether they can accept it, and how it is read from files that another program renews. */

import { createPrivateKey, X509Certificate } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { isIP } from 'node:net'
import { DoorwardError } from '@doorward/core'
import type { EpochMillis } from '@doorward/core'
import { readCertificateFile } from './certificate-file.ts'
import type { EdgeCertificatePlace } from './edge-settings.ts'
import { readSecretFile } from './secret-file.ts'

const MAX_CHAIN = 10
const RSA_BITS = 2048

export interface EdgeCertificate {
  /** DER, leaf first. */
  readonly chain: readonly Uint8Array[]
  readonly privateKey: KeyObject
  /** SHA-256 of the leaf, as tools print it. */
  readonly fingerprint: string
  readonly notBefore: EpochMillis
  readonly notAfter: EpochMillis
}

/**
 * Reads chain and key, and whether hosts can accept them. Throws `file_unreadable`, `certificates_invalid`, `secret_file`,
 * `edge_certificate`.
 */
export async function readEdgeCertificate(
  { file, keyFile }: EdgeCertificatePlace,
  publicUrl: string,
  now: EpochMillis,
): Promise<EdgeCertificate> {
  const chain = await readCertificateFile(file, MAX_CHAIN)
  return judgeEdgeCertificate(
    { chain, privateKey: await keyOf(keyFile), where: file, keyWhere: keyFile },
    publicUrl,
    now,
  )
}

export interface ShownCertificate {
  /** DER, leaf first. */
  readonly chain: readonly Uint8Array[]
  readonly privateKey: KeyObject
  /** Where they are from, for the operator. */
  readonly where: string
  readonly keyWhere: string
}

/** The key is that of the leaf, and the leaf is good now and for the name of the public URL. Throws `edge_certificate`. */
export function judgeEdgeCertificate(
  { chain, privateKey, where, keyWhere }: ShownCertificate,
  publicUrl: string,
  now: EpochMillis,
): EdgeCertificate {
  const leaf = leafOf(chain, where)
  if (!leaf.checkPrivateKey(privateKey)) throw unusable(keyWhere, 'the key of the first certificate', 'another key')
  const [notBefore, notAfter] = [leaf.validFromDate.getTime(), leaf.validToDate.getTime()]
  if (now < notBefore || now >= notAfter)
    throw unusable(where, 'a certificate that is good now', `one from ${leaf.validFrom} to ${leaf.validTo}`)
  const { hostname } = new URL(publicUrl)
  const host = hostname.replaceAll(/^\[|\]$/g, '')
  const named = isIP(host) === 0 ? leaf.checkHost(host, { subject: 'never' }) : leaf.checkIP(host)
  if (named === undefined)
    throw unusable(where, `a certificate for ${host}`, leaf.subjectAltName ?? 'one without alternative names')
  return {
    chain,
    privateKey,
    fingerprint: leaf.fingerprint256,
    notBefore: notBefore as EpochMillis,
    notAfter: notAfter as EpochMillis,
  }
}

function leafOf([der]: readonly Uint8Array[], where: string): X509Certificate {
  try {
    return new X509Certificate(der ?? new Uint8Array())
  } catch {
    throw unusable(where, 'a certificate that can be read', 'something else')
  }
}

async function keyOf(keyFile: string): Promise<KeyObject> {
  const text = await readSecretFile(keyFile)
  let key: KeyObject
  try {
    key = createPrivateKey(text.reveal())
  } catch {
    throw unusable(keyFile, 'a private key in PEM, not encrypted', 'something else')
  }
  const { asymmetricKeyType: type, asymmetricKeyDetails: { modulusLength = 0 } = {} } = key
  if (type === 'ec' || type === 'ed25519' || (type === 'rsa' && modulusLength >= RSA_BITS)) return key
  throw unusable(keyFile, `an elliptic-curve key, or RSA of at least ${RSA_BITS} bits`, String(type))
}

function unusable(where: string, expected: string, got: string): DoorwardError {
  return new DoorwardError('edge_certificate', 'the certificate that hosts and browsers are shown cannot be used', {
    where,
    expected,
    got,
    next: 'correct edge.certificate or authority.front.certificate, or have it issued again',
  })
}
