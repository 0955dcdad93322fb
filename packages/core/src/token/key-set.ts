/** The keys that verify our tokens, imported once per trust state and found by `kid` alone. */

import { DoorwardError } from '../error.ts'
import type { TokenKey } from '../identity/trust-state.ts'
import type { ImportP256, VerifyKey } from '../primitives.ts'

/** Key id to key. A missing id is an unknown key: there is nothing to fetch and nothing to try. */
export type TokenKeySet = ReadonlyMap<string, VerifyKey>

/**
 * Keys that are published, active or retired; a prepared key has signed nothing yet. Leave denied keys out of `keys`.
 * Throws `token_key_invalid` when a point is not on the curve or an id stands twice.
 */
export function keySetOf(keys: readonly TokenKey[], importP256: ImportP256): TokenKeySet {
  const set = new Map<string, VerifyKey>()
  for (const { kid, state, jwk } of keys) {
    const key = importP256(jwk)
    if (key === null || set.has(kid))
      throw new DoorwardError('token_key_invalid', 'expected distinct P-256 token keys', { where: kid })
    if (state !== 'prepared') set.set(kid, key)
  }
  return set
}
