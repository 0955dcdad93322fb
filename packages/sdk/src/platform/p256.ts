/**
 * P-256 keys of node:crypto: ES256 signatures are the 64 bytes r ‖ s (RFC 7518 §3.4). They go to and from node:crypto in
 * DER: it takes options that name the other form by way of two exceptions inside, which cost half as much as verifying.
 */

import { createPublicKey, generateKeyPair, sign, verify } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { promisify } from 'node:util'
import { ecdsaFromDer, ecdsaToDer, p256JwkOfSpki, spkiOfP256Jwk } from '@doorward/core'
import type { ImportP256, P256Jwk, SignKey, VerifyKey } from '@doorward/core'

const generate = promisify(generateKeyPair)

/** A new key and its forms. */
export interface P256KeyPair {
  readonly privateKey: KeyObject
  readonly jwk: P256Jwk
  /** DER SubjectPublicKeyInfo. */
  readonly spki: Uint8Array
  readonly signKey: SignKey
}

/** Imports a public key once; verification is synchronous. Null when the point is not on the curve. */
export const importP256: ImportP256 = (jwk) => {
  try {
    return verifyKeyOf(createPublicKey({ key: { ...jwk }, format: 'jwk' }))
  } catch {
    return null
  }
}

function verifyKeyOf(key: KeyObject): VerifyKey {
  return {
    verify: (data, signature) => {
      if (signature.length !== 64) return false
      try {
        return verify('sha256', data, key, ecdsaToDer(signature))
      } catch {
        return false
      }
    },
  }
}

export async function generateP256(): Promise<P256KeyPair> {
  const { privateKey } = await generate('ec', { namedCurve: 'P-256' })
  return p256KeyPairOf(privateKey)
}

/** The forms of a private key that was loaded. Throws a TypeError for any other kind of key. */
export function p256KeyPairOf(privateKey: KeyObject): P256KeyPair {
  const spki = new Uint8Array(createPublicKey(privateKey).export({ type: 'spki', format: 'der' }))
  const jwk = p256JwkOfSpki(spki)
  if (jwk === null)
    throw new TypeError(`expected a P-256 private key, got ${privateKey.asymmetricKeyType ?? privateKey.type}`)
  return { privateKey, jwk, spki: spkiOfP256Jwk(jwk), signKey: signKeyOf(privateKey) }
}

/** A sign key over a P-256 or Ed25519 private key in memory. Throws a TypeError for any other kind of key. */
export function signKeyOf(privateKey: KeyObject): SignKey {
  const kind = privateKey.type === 'private' ? privateKey.asymmetricKeyType : undefined
  if (kind === 'ed25519') return { sign: async (data) => new Uint8Array(sign(null, data, privateKey)) }
  if (kind !== 'ec' || privateKey.asymmetricKeyDetails?.namedCurve !== 'prime256v1') {
    throw new TypeError(`expected a P-256 or Ed25519 private key, got ${kind ?? privateKey.type}`)
  }
  return { sign: async (data) => signP256(privateKey, data) }
}

function signP256(privateKey: KeyObject, data: Uint8Array): Uint8Array {
  const signature = ecdsaFromDer(sign('sha256', data, privateKey))
  if (signature === null) throw new TypeError('expected a signature by a P-256 key')
  return signature
}
