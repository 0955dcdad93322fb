/** Public keys that one trust state after the other names: each is imported once. */

import type { ImportP256, P256Jwk, VerifyKey } from '../primitives.ts'

/** More than one trust state names: 64 token keys, 8 trust-state keys and their root. */
const MOST = 128

/**
 * As `importP256`, with a memory of its own of the 128 keys used last. It says what a text imports to and nothing of
 * trust: whoever asks has yet to decide whether the key is good for anything. What is no key is looked at each time.
 */
export function importingOnce(importP256: ImportP256): ImportP256 {
  const known = new Map<string, VerifyKey>()
  return (jwk) => {
    const name = textOf(jwk)
    const key = known.get(name) ?? importP256(jwk)
    if (key === null) return null
    known.delete(name)
    known.set(name, key)
    if (known.size > MOST) known.delete(known.keys().next().value as string)
    return key
  }
}

function textOf({ kty, crv, x, y }: P256Jwk): string {
  return JSON.stringify([kty, crv, x, y])
}
