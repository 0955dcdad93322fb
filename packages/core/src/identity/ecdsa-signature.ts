/** The two forms of a P-256 signature: r ‖ s of RFC 7518 §3.4 and the DER Ecdsa-Sig-Value of RFC 3279 §2.2.3. */

import { concat } from '../bytes.ts'
import { isDoorwardError } from '../error.ts'
import { readDer, TAG } from './der.ts'
import type { DerNode } from './der.ts'

const SIZE = 32

/** The 64 bytes r ‖ s, or null when the DER is not strict or an integer is not positive and below 2^256. */
export function ecdsaFromDer(der: Uint8Array): Uint8Array | null {
  try {
    const { tag, children } = readDer(der)
    const [r, s] = children
    if (tag !== TAG.sequence || children.length !== 2) return null
    const out = new Uint8Array(2 * SIZE)
    return place(r!, out, SIZE) && place(s!, out, 2 * SIZE) ? out : null
  } catch (error) {
    if (isDoorwardError(error, 'der_invalid')) return null
    throw error
  }
}

function place(node: DerNode, out: Uint8Array, end: number): boolean {
  if (node.tag !== TAG.integer || (node.content[0]! & 0x80) !== 0) return false
  const magnitude = node.content[0] === 0 ? node.content.subarray(1) : node.content
  if (magnitude.length === 0 || magnitude.length > SIZE) return false
  out.set(magnitude, end - magnitude.length)
  return true
}

/** DER of the 64 bytes r ‖ s. Throws a RangeError on another length. */
export function ecdsaToDer(signature: Uint8Array): Uint8Array {
  if (signature.length !== 2 * SIZE) throw new RangeError(`expected 64 bytes r ‖ s, got ${signature.length}`)
  const body = concat(integer(signature.subarray(0, SIZE)), integer(signature.subarray(SIZE)))
  return concat(Uint8Array.of(TAG.sequence, body.length), body)
}

function integer(bytes: Uint8Array): Uint8Array {
  let start = 0
  while (start < bytes.length - 1 && bytes[start] === 0) start++
  const magnitude = bytes.subarray(start)
  const sign = (magnitude[0]! & 0x80) !== 0 ? [0] : []
  return Uint8Array.of(TAG.integer, sign.length + magnitude.length, ...sign, ...magnitude)
}
