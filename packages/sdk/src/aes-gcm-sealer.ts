/** Sealed bytes: confidential and unaltered, and only good for the purpose that they were sealed for. */

import { createCipheriv, createDecipheriv } from 'node:crypto'
import { concat, DoorwardError, utf8 } from '@doorward/core'
import type { RandomBytes } from '@doorward/core'
import type { KeyEncryptionKey } from './key-file.ts'
import type { Sealer } from './sealer.ts'

const VERSION = 1
const NONCE_BYTES = 12
const TAG_BYTES = 16

/**
 * AES-256-GCM (NIST SP 800-38D). Format: version byte 1, nonce of 12 random bytes, ciphertext, tag of 16 bytes.
 * The additional data are the version and the context. Good for 2^32 seals per key; a state makes a few per day.
 * `open` throws `seal_broken` for another context, another key or altered bytes, `seal_version` for a format of another release.
 */
export function aesGcmSealer(key: KeyEncryptionKey, random: RandomBytes): Sealer {
  return {
    async seal(bytes, context) {
      const nonce = random(NONCE_BYTES)
      const cipher = createCipheriv('aes-256-gcm', key.reveal(), nonce, { authTagLength: TAG_BYTES })
      cipher.setAAD(additionalData(context))
      const text = concat(cipher.update(bytes), cipher.final())
      return concat(Uint8Array.of(VERSION), nonce, text, cipher.getAuthTag())
    },
    async open(sealed, context) {
      if (sealed[0] !== VERSION) {
        throw new DoorwardError('seal_version', 'sealed by another format', {
          where: context,
          expected: `version ${VERSION}`,
          got: sealed.length === 0 ? 'no bytes' : `version ${sealed[0]}`,
        })
      }
      const nonce = sealed.subarray(1, 1 + NONCE_BYTES)
      const text = sealed.subarray(1 + NONCE_BYTES, -TAG_BYTES)
      try {
        const decipher = createDecipheriv('aes-256-gcm', key.reveal(), nonce, { authTagLength: TAG_BYTES })
        decipher.setAAD(additionalData(context))
        decipher.setAuthTag(sealed.subarray(-TAG_BYTES))
        return concat(decipher.update(text), decipher.final())
      } catch {
        throw new DoorwardError('seal_broken', 'sealed bytes do not open', {
          where: context,
          expected: 'bytes sealed with this key for this purpose',
          got: 'altered bytes, another key or another purpose',
        })
      }
    },
  }
}

function additionalData(context: string): Uint8Array {
  return utf8(`doorward sealed v${VERSION}\n${context}`)
}
