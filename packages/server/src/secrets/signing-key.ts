/** Private keys as handles that sign and never show themselves. */

import { createPublicKey, generateKeyPairSync, sign } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { DoorwardError, ecdsaFromDer, p256JwkOfSpki } from '@doorward/core'
import type { P256Jwk, SignKey } from '@doorward/core'

/** `p256` signs ES256 (r ‖ s), `ed25519` as in RFC 8032. */
export type KeyKind = 'p256' | 'ed25519'

export interface SigningKey extends SignKey {
  readonly kind: KeyKind
  /** DER SubjectPublicKeyInfo. */
  readonly publicKey: Uint8Array
}

export interface P256SigningKey extends SigningKey {
  readonly kind: 'p256'
  readonly jwk: P256Jwk
}

export function generatePrivateKey(kind: KeyKind): KeyObject {
  return kind === 'p256'
    ? generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
    : generateKeyPairSync('ed25519').privateKey
}

/** The handle of a private key. Throws `key_kind` when the key is of another kind. */
export function signingKeyOf(kind: KeyKind, privateKey: KeyObject): SigningKey {
  const fits =
    kind === 'p256'
      ? privateKey.asymmetricKeyType === 'ec' && privateKey.asymmetricKeyDetails?.namedCurve === 'prime256v1'
      : privateKey.asymmetricKeyType === 'ed25519'
  if (privateKey.type !== 'private' || !fits)
    throw new DoorwardError('key_kind', `expected a private key of kind ${kind}`)
  const publicKey = new Uint8Array(createPublicKey(privateKey).export({ type: 'spki', format: 'der' }))
  return {
    kind,
    publicKey,
    sign: async (data) => (kind === 'p256' ? signP256(privateKey, data) : new Uint8Array(sign(null, data, privateKey))),
  }
}

/** By way of DER: options that name the other form cost node:crypto as much again as signing. */
function signP256(privateKey: KeyObject, data: Uint8Array): Uint8Array {
  const signature = ecdsaFromDer(sign('sha256', data, privateKey))
  if (signature === null) throw new DoorwardError('key_kind', 'expected a signature by a private key of kind p256')
  return signature
}

/** The same handle with its public key as JWK. Throws `key_kind`. */
export function asP256(key: SigningKey): P256SigningKey {
  const jwk = p256JwkOfSpki(key.publicKey)
  if (key.kind !== 'p256' || jwk === null) throw new DoorwardError('key_kind', 'expected a key of kind p256')
  return { ...key, kind: 'p256', jwk }
}
