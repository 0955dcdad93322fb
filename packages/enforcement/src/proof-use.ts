/** Whether a proof by a key (RFC 9449) is new here: by its nonce, by its time, and by what is remembered of others. */

import { dpopLimits, dpopProblem, readDpopProof, toBase64url, toSeconds, utf8 } from '@doorward/core'
import type { DpopProof, EpochMillis, Principal } from '@doorward/core'
import { deny } from './denial.ts'
import type { Denial } from './denial.ts'
import type { ProofRules } from './edge-rules.ts'

/** How long the proof could be used again, were it not remembered; why it is not taken at all. */
export function proofGoodUntil(
  { claims }: DpopProof,
  { nonces, nonceRequired, since }: ProofRules,
): EpochMillis | Denial {
  if (claims.nonce !== null) {
    const until = nonces.goodUntil(claims.nonce)
    return until ?? deny('dpop_nonce', 'the nonce of the proof is not one of ours, or too old')
  }
  if (nonceRequired) return deny('dpop_nonce', 'the proof has no nonce')
  if (claims.iat <= since) return deny('dpop_invalid', 'the proof was made before this process began to remember them')
  return ((claims.iat + dpopLimits.skewSeconds + 1) * 1000) as EpochMillis
}

/** Null for the first use, which is remembered; asked last. */
export async function proofUsed(
  { thumbprint, claims }: DpopProof,
  until: EpochMillis,
  { guard, sha256 }: ProofRules,
  caller?: Principal,
): Promise<Denial | null> {
  const id = toBase64url(sha256(utf8(`${thumbprint}\0${claims.jti}`)))
  const by = caller === undefined ? {} : { caller }
  try {
    switch (await guard.consume(id, until)) {
      case 'fresh':
        return null
      case 'seen':
        return deny('dpop_replayed', 'the proof was used before', by)
      case 'full':
        return deny('dpop_unavailable', 'no more proofs can be remembered now', { ...by, retryAfterSeconds: 1 })
    }
  } catch (error) {
    return deny('dpop_unavailable', `whether the proof is new cannot be told: ${String(error)}`, by)
  }
}

/** Thumbprint of the key that a proof shows where no access token goes with it, as at a token endpoint (RFC 9449 §5). */
export async function provenKey(
  text: string,
  request: { readonly method: string; readonly url: string; readonly now: EpochMillis },
  rules: ProofRules,
): Promise<string | Denial> {
  const proof = readDpopProof(text, rules)
  if (!proof.ok) return deny('dpop_invalid', proof.message)
  const { method, url, now } = request
  const { sha256 } = rules
  const wrong = dpopProblem(proof, { method, url, token: null, boundTo: '', now: toSeconds(now), sha256 })
  if (wrong !== null) return deny('dpop_invalid', wrong)
  const until = proofGoodUntil(proof, rules)
  if (typeof until !== 'number') return until
  return (await proofUsed(proof, until, rules)) ?? proof.thumbprint
}
