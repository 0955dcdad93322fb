/** Ed25519 keys of node:crypto (RFC 8032): 32-byte public keys, 64-byte signatures. Logs sign with them. */

import { createPublicKey, generateKeyPair, verify } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { promisify } from 'node:util'
import { fromBase64url, toBase64url } from '@doorward/core'
import type { SignKey, VerifyKey } from '@doorward/core'
import { signKeyOf } from './p256.ts'

const generate = promisify(generateKeyPair)

export interface Ed25519KeyPair {
  readonly privateKey: KeyObject
  /** 32 bytes. */
  readonly publicKey: Uint8Array
  readonly signKey: SignKey
}

/** Imports the 32 bytes of a public key; null when they are of another length or rejected. */
export function importEd25519(publicKey: Uint8Array): VerifyKey | null {
  if (publicKey.length !== 32) return null
  try {
    const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: toBase64url(publicKey) }, format: 'jwk' })
    return { verify: (data, signature) => signature.length === 64 && holds(key, data, signature) }
  } catch {
    return null
  }
}

function holds(key: KeyObject, data: Uint8Array, signature: Uint8Array): boolean {
  try {
    return verify(null, data, key, signature)
  } catch {
    return false
  }
}

export async function generateEd25519(): Promise<Ed25519KeyPair> {
  const { privateKey } = await generate('ed25519')
  return ed25519KeyPairOf(privateKey)
}

/** The forms of a private key that was loaded. Throws a TypeError for any other kind of key. */
export function ed25519KeyPairOf(privateKey: KeyObject): Ed25519KeyPair {
  const { crv, x } = createPublicKey(privateKey).export({ format: 'jwk' })
  const publicKey = crv === 'Ed25519' && x !== undefined ? fromBase64url(x) : null
  if (publicKey === null)
    throw new TypeError(`expected an Ed25519 private key, got ${privateKey.asymmetricKeyType ?? privateKey.type}`)
  return { privateKey, publicKey, signKey: signKeyOf(privateKey) }
}
