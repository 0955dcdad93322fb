/** An X.509-SVID with its private key: checked once when it comes in, immutable afterwards. */

import type { KeyObject } from 'node:crypto'
import { backdatingSeconds, checkSvidLeaf, DoorwardError, equalBytes, readCertificate } from '@doorward/core'
import type { EpochSeconds, PeerCertificate, SpiffeId } from '@doorward/core'
import { sha256 } from './platform/hash.ts'
import { p256KeyPairOf } from './platform/p256.ts'

export interface Svid {
  readonly id: SpiffeId
  /** DER, leaf first. */
  readonly chain: readonly Uint8Array[]
  readonly privateKey: KeyObject
  readonly certificate: PeerCertificate
  /** SHA-256 of the leaf, base64url: names this generation of the credential. */
  readonly fingerprint: string
}

/**
 * Joins key and certificate. Does not check the signature (`chainsToAnchor` does) or the times.
 * Throws `svid_invalid` when the certificate is not an SVID of the trust domain or is for another key.
 */
export function svidOf(chain: readonly Uint8Array[], privateKey: KeyObject, trustDomain: string): Svid {
  const [leaf] = chain
  const certificate = leaf === undefined ? null : readCertificate(leaf, { sha256 })
  if (certificate === null || 'problem' in certificate) throw invalid('a certificate', certificate?.message ?? 'none')
  const problem = checkSvidLeaf(certificate, trustDomain)
  if (problem !== null || certificate.spiffeId === null)
    throw invalid(`an SVID of ${trustDomain}`, problem?.message ?? 'no SPIFFE ID')
  if (!equalBytes(certificate.publicKeySpki, p256KeyPairOf(privateKey).spki))
    throw invalid('a certificate for our own key', 'another key')
  return { id: certificate.spiffeId, chain, privateKey, certificate, fingerprint: certificate.fingerprint }
}

function invalid(expected: string, got: string): DoorwardError {
  return new DoorwardError('svid_invalid', 'the certificate cannot be used', { expected, got })
}

/** The moment of issue: `notBefore` is dated back. */
export function issuedAt(svid: Pick<Svid, 'certificate'>): EpochSeconds {
  return (svid.certificate.notBefore + backdatingSeconds) as EpochSeconds
}
