/** The keys by which JWT-SVIDs of one trust domain are verified, each of one algorithm (SPIFFE JWT-SVID §2, §6). */

import type { TrustBundle } from '../identity/trust-bundle.ts'
import type { ImportP256, VerifyKey } from '../primitives.ts'

/** RFC 7518 §3.1, without what the specification leaves out: EdDSA, HMAC, none. With the length of a signature, where it has one. */
export const jwtSvidAlgorithms = {
  RS256: null,
  RS384: null,
  RS512: null,
  ES256: 64,
  ES384: 96,
  ES512: 132,
  PS256: null,
  PS384: null,
  PS512: null,
} as const satisfies Readonly<Record<string, number | null>>

export type JwtSvidAlgorithm = keyof typeof jwtSvidAlgorithms

export interface JwtSvidKey {
  readonly kid: string
  /** The only algorithm that the key verifies. */
  readonly algorithm: JwtSvidAlgorithm
  readonly key: VerifyKey
}

export function isJwtSvidAlgorithm(value: unknown): value is JwtSvidAlgorithm {
  return typeof value === 'string' && Object.hasOwn(jwtSvidAlgorithms, value)
}

/**
 * The keys of a bundle: its entries of the use jwt-svid that have a kid and a P-256 key, and no others (JW-6). Keys of
 * other algorithms are imported by whoever accepts them. An empty list verifies nothing (TB-3).
 */
export function jwtSvidKeysOf(bundle: TrustBundle, importP256: ImportP256): readonly JwtSvidKey[] {
  return bundle.jwt.flatMap(({ kid, jwk }) => {
    const key = importP256(jwk)
    return key === null ? [] : [{ kid, algorithm: 'ES256' as const, key }]
  })
}
