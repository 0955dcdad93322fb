/** Keys of certificates that are not ours: which kinds and sizes are accepted, and how they verify. */

import { constants, createPublicKey, verify, X509Certificate } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import type { PeerCertificate } from '@doorward/core'

const rsaBits = { least: 2048, most: 4096 }
const MAX_EXPONENT = 2n ** 32n
const CURVES: readonly (string | undefined)[] = ['prime256v1', 'secp384r1', 'secp521r1']
const P256_SIGNATURE_BYTES = 64

/** Null for any key whose use would cost too much or prove too little. */
function acceptedKey(spki: Uint8Array): KeyObject | null {
  try {
    const key = createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' })
    return isAccepted(key) ? key : null
  } catch {
    return null
  }
}

function isAccepted({ asymmetricKeyType, asymmetricKeyDetails = {} }: KeyObject): boolean {
  if (asymmetricKeyType === 'ed25519') return true
  if (asymmetricKeyType === 'ec') return CURVES.includes(asymmetricKeyDetails.namedCurve)
  if (asymmetricKeyType !== 'rsa') return false
  const { modulusLength = 0, publicExponent = 0n } = asymmetricKeyDetails
  const sized = modulusLength >= rsaBits.least && modulusLength <= rsaBits.most
  return sized && publicExponent >= 3n && publicExponent < MAX_EXPONENT && publicExponent % 2n === 1n
}

/** Whether the issuer's key signed exactly these bytes. Never throws. */
export function signedByForeignKey(certificate: PeerCertificate, issuer: PeerCertificate): boolean {
  const key = acceptedKey(issuer.publicKeySpki)
  if (key === null) return false
  try {
    return new X509Certificate(certificate.der).verify(key)
  } catch {
    return false
  }
}

/** ES256 for a P-256 key, PS256 with a salt of 32 bytes for an RSA key (RFC 7518 §3.4, §3.5); no other key proves anything. Never throws. */
export function provesForeignKey(spki: Uint8Array, data: Uint8Array, proof: Uint8Array): boolean {
  const key = acceptedKey(spki)
  if (key === null) return false
  try {
    if (key.asymmetricKeyType === 'rsa') {
      const padding = constants.RSA_PKCS1_PSS_PADDING
      return verify('sha256', data, { key, padding, saltLength: constants.RSA_PSS_SALTLEN_DIGEST }, proof)
    }
    const isP256 = key.asymmetricKeyDetails?.namedCurve === 'prime256v1'
    if (!isP256 || proof.length !== P256_SIGNATURE_BYTES) return false
    return verify('sha256', data, { key, dsaEncoding: 'ieee-p1363' }, proof)
  } catch {
    return false
  }
}
