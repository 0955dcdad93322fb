/** Hash and randomness of node:crypto. */

import { createHmac, hash, randomBytes as nodeRandomBytes } from 'node:crypto'
import { jwkThumbprint as thumbprint } from '@doorward/core'
import type { HmacSha256, P256Jwk, RandomBytes, Sha256 } from '@doorward/core'

/** A plain Uint8Array: Buffers compare and serialise differently. */
function plain(buffer: Buffer): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.length)
}

const SHA256_BYTES = 32

/** By way of text, which costs half of what a Buffer of its own does. */
export const sha256: Sha256 = (data) => {
  const text = hash('sha256', data, 'binary')
  const digest = new Uint8Array(SHA256_BYTES)
  for (let i = 0; i < SHA256_BYTES; i++) digest[i] = text.charCodeAt(i)
  return digest
}

export const hmacSha256: HmacSha256 = (key, data) => plain(createHmac('sha256', key).update(data).digest())

export const randomBytes: RandomBytes = (length) => new Uint8Array(nodeRandomBytes(length))

/** RFC 7638 thumbprint with SHA-256, base64url. */
export function jwkThumbprint(jwk: P256Jwk): string {
  return thumbprint(jwk, sha256)
}
