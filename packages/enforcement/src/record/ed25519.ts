/** The key of a log: Ed25519 from node:crypto behind the rules' own key types. */

import { createPublicKey, sign, verify } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { DoorwardError } from '@doorward/core'
import type { SignKey, VerifyKey } from '@doorward/core'

/** What a writer needs to sign its checkpoints and to recognise its own. */
export interface LogKey {
  readonly sign: SignKey
  readonly verify: VerifyKey
  /** 32 bytes (RFC 8032). */
  readonly publicKey: Uint8Array
}

/** Imports a raw Ed25519 public key; null when it is not 32 bytes. */
export function importEd25519(publicKey: Uint8Array): VerifyKey | null {
  if (publicKey.length !== 32) return null
  const x = Buffer.from(publicKey).toString('base64url')
  return verifyKeyOf(createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' }))
}

/** A log key from a private key that this process holds. Throws `log_key_malformed` for another key type. */
export function ed25519LogKey(privateKey: KeyObject): LogKey {
  if (privateKey.type !== 'private' || privateKey.asymmetricKeyType !== 'ed25519') {
    throw new DoorwardError('log_key_malformed', 'log key is of the wrong kind', {
      expected: 'an Ed25519 private key',
      got: `${privateKey.asymmetricKeyType ?? 'unknown'} ${privateKey.type} key`,
    })
  }
  const publicKey = createPublicKey(privateKey)
  return {
    sign: { sign: async (data) => sign(null, data, privateKey) },
    verify: verifyKeyOf(publicKey),
    publicKey: Buffer.from(publicKey.export({ format: 'jwk' }).x ?? '', 'base64url'),
  }
}

function verifyKeyOf(key: KeyObject): VerifyKey {
  return {
    verify(data, signature) {
      try {
        return verify(null, data, key, signature)
      } catch {
        return false
      }
    },
  }
}
