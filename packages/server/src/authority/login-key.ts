/** Proof by the key of a sign-in: over the connection, what is asked for, what is shown, and when. */

import { jwkThumbprint, loginProofBytes, loginProofSeconds } from '@doorward/core'
import type { EpochSeconds, LoginProof, P256Jwk } from '@doorward/core'
import { nowSeconds } from './context.ts'
import type { AuthorityContext } from './context.ts'
import { refuse } from './refusal.ts'
import type { AuthorityRefusal } from './refusal.ts'

export interface PresentedProof {
  readonly key: P256Jwk
  readonly issuedAt: EpochSeconds
  /** ES256. */
  readonly signature: Uint8Array
}

const aheadSeconds = 30

/** The thumbprint of the key, when it has just signed this use; `proof_invalid` else. */
export function provenLoginKey(
  context: AuthorityContext,
  { key, issuedAt, signature }: PresentedProof,
  use: Omit<LoginProof, 'issuedAt'>,
): string | AuthorityRefusal {
  const now = nowSeconds(context)
  if (issuedAt < now - loginProofSeconds || issuedAt > now + aheadSeconds)
    return refuse('proof_invalid', `expected a proof of the last ${loginProofSeconds} s, got one of ${issuedAt}`)
  const signed = loginProofBytes({ ...use, issuedAt }, context.sha256)
  const holds = context.importP256(key)?.verify(signed, signature) === true
  return holds
    ? jwkThumbprint(key, context.sha256)
    : refuse('proof_invalid', 'expected a signature by the key of the sign-in, over this connection and what is shown')
}
