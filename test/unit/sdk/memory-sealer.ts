/** A sealer for tests: AES-256-GCM under a key that lives in memory. */

import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import type { Sealer } from '@doorward/sdk'

export function memorySealer(key = randomBytes(32)): Sealer {
  return {
    async seal(bytes, context) {
      const nonce = randomBytes(12)
      const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(context))
      const text = Buffer.concat([cipher.update(bytes), cipher.final()])
      return Buffer.concat([nonce, cipher.getAuthTag(), text])
    },
    async open(sealed, context) {
      const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, 12)).setAAD(Buffer.from(context))
      decipher.setAuthTag(sealed.subarray(12, 28))
      return Buffer.concat([decipher.update(sealed.subarray(28)), decipher.final()])
    },
  }
}
