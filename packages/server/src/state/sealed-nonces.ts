/**
 * Nonces for proofs (RFC 9449 §8, reference id RP-7): the time, sealed by a key that only this process has. Nothing is
 * remembered of them, and no other process accepts them.
 */

import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { fromBase64url, toBase64url } from '@doorward/core'
import type { EpochMillis } from '@doorward/core'
import type { ProofNonces } from '@doorward/enforcement'

const CIPHER = 'aes-256-gcm'
const KEY_BYTES = 32
const IV_BYTES = 12
const TAG_BYTES = 16
const TIME_BYTES = 8
/** One is given to everybody for so long. */
const GIVEN_MILLISECONDS = 30_000
/** And accepted for so long after it was made. */
const ACCEPTED_MILLISECONDS = 180_000

export class SealedNonces implements ProofNonces {
  readonly #now: () => EpochMillis
  readonly #key = randomBytes(KEY_BYTES)
  #newest: { readonly nonce: string; readonly madeAt: EpochMillis } | null = null

  constructor(now: () => EpochMillis) {
    this.#now = now
  }

  current(): string {
    const now = this.#now()
    const age = this.#newest === null ? Number.POSITIVE_INFINITY : now - this.#newest.madeAt
    if (this.#newest === null || age < 0 || age >= GIVEN_MILLISECONDS)
      this.#newest = { nonce: this.#seal(now), madeAt: now }
    return this.#newest.nonce
  }

  goodUntil(nonce: string): EpochMillis | null {
    const madeAt = this.#open(nonce)
    const now = this.#now()
    if (madeAt === null || madeAt > now || now - madeAt >= ACCEPTED_MILLISECONDS) return null
    return (madeAt + ACCEPTED_MILLISECONDS) as EpochMillis
  }

  #seal(now: EpochMillis): string {
    const iv = randomBytes(IV_BYTES)
    const time = Buffer.alloc(TIME_BYTES)
    time.writeBigUInt64BE(BigInt(Math.floor(now)))
    const cipher = createCipheriv(CIPHER, this.#key, iv, { authTagLength: TAG_BYTES })
    const sealed = Buffer.concat([iv, cipher.update(time), cipher.final(), cipher.getAuthTag()])
    return toBase64url(new Uint8Array(sealed))
  }

  #open(nonce: string): number | null {
    const sealed = fromBase64url(nonce)
    if (sealed?.length !== IV_BYTES + TIME_BYTES + TAG_BYTES) return null
    try {
      const options = { authTagLength: TAG_BYTES }
      const opener = createDecipheriv(CIPHER, this.#key, sealed.subarray(0, IV_BYTES), options)
      opener.setAuthTag(sealed.subarray(IV_BYTES + TIME_BYTES))
      const time = Buffer.concat([opener.update(sealed.subarray(IV_BYTES, IV_BYTES + TIME_BYTES)), opener.final()])
      return Number(time.readBigUInt64BE())
    } catch {
      return null
    }
  }
}
