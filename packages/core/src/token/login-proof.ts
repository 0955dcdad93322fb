/**
 * How a sign-in is bound to a key of the machine: the provider signs a nonce that only this key can have asked for, and every
 * later use of the sign-in comes with a signature by it, over the connection that it is used on.
 */

import { toBase64url, utf8 } from '../bytes.ts'
import type { Sha256 } from '../primitives.ts'
import type { EpochSeconds } from '../time.ts'

/** A proof is good for so long (reference of identity, §2). */
export const loginProofSeconds = 60

/**
 * The nonce of an authorization request (OpenID Connect Core §3.1.2.1): an ID token that has it was asked for with this key
 * (RFC 7638 thumbprint) and this random text, so a stolen one is of no use with another key.
 */
export function loginNonce(thumbprint: string, random: string, sha256: Sha256): string {
  return toBase64url(sha256(utf8(`doorward login nonce v1\n${thumbprint}\n${random}`)))
}

export interface LoginProof {
  /** What is shown with it: an ID token to sign in, a user identity to call. */
  readonly use: 'login' | 'exchange'
  /** SHA-256 of the certificate of the connection, base64url. */
  readonly certificateFingerprint: string
  /** What is asked for: the authority itself, or the audience of the token. */
  readonly audience: string
  readonly issuedAt: EpochSeconds
  /** The token that is shown. */
  readonly token: string
}

/** What the key of the machine signs. No member holds a line end, so no two proofs have the same bytes. */
export function loginProofBytes(proof: LoginProof, sha256: Sha256): Uint8Array {
  const { use, certificateFingerprint, audience, issuedAt, token } = proof
  const shown = toBase64url(sha256(utf8(token)))
  return utf8(`doorward ${use} proof v1\n${certificateFingerprint}\n${audience}\n${issuedAt}\n${shown}`)
}
