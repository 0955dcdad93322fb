/**
 * Who acts for whom in a delegated token, and the tokens that it was made from (RFC 8693 §4.1; reference ids DX-3, DX-5, DX-6).
 * The links are the stamp of the exchange: the authority has verified each of them before it signed.
 */

import { userName } from '../identity/principal.ts'
import type { HeldLink } from '../identity/principal.ts'
import { readSpiffeId } from '../identity/spiffe-id.ts'
import { chainClaim, userClaim } from './claims.ts'
import type { AccessTokenClaims, ActClaim } from './claims.ts'

/** Current actor first. */
export function actorsOf(act: ActClaim | undefined): readonly string[] {
  const out: string[] = []
  for (let at = act; at !== undefined; at = at.act) out.push(at.sub)
  return out
}

type Delegated = Pick<AccessTokenClaims, 'sub' | 'act' | typeof chainClaim>

/**
 * The tokens that this one hangs on, nearest first, each with who held it: whoever stands behind the current actor. Empty where
 * nothing was exchanged. Of claims in which `partiesProblem` finds nothing.
 */
export function heldLinks({ sub, act, [chainClaim]: links = [] }: Delegated): readonly HeldLink[] {
  const holders = [...actorsOf(act), sub].slice(1)
  return links.map((link, i) => ({ ...link, holder: holders[i] ?? sub }))
}

/**
 * Null when subject, presenter and every actor are workloads of the trust domain (but for a person as the subject), nobody
 * twice, the presenter is the subject or its current actor, and each hop but a sign-in is stamped.
 */
export function partiesProblem(claims: AccessTokenClaims, trustDomain: string): string | null {
  const { sub, act, client_id: presenter, [userClaim]: user, [chainClaim]: links = [] } = claims
  const actors = actorsOf(act)
  if (user !== undefined && sub !== userName(user)) return 'expected sub to name the user'
  if (user !== undefined && actors.length === 0) return 'expected an actor for a user'
  for (const text of [presenter, ...actors, ...(user === undefined ? [sub] : [])]) {
    const id = readSpiffeId(text)
    if ('problem' in id || id.trustDomain !== trustDomain || id.segments.length === 0)
      return `expected workload ids of ${trustDomain}`
  }
  const current = actors[0] ?? sub
  if (presenter !== current) return `expected client_id ${current}`
  if (new Set([...actors, sub]).size !== actors.length + 1) return 'expected nobody twice in the chain'
  const hops = actors.length - (user === undefined ? 0 : 1)
  return links.length === hops ? null : `expected the stamp of ${hops} exchanges, got ${links.length}`
}
