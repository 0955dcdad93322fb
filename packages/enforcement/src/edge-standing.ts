/**
 * What the edge holds against a caller that it has let in by other rules than it has now: whoever comes anew is judged by those
 * that count, and what is under way must not outlast them.
 */

import type { EpochSeconds } from '@doorward/core'
import { deny } from './denial.ts'
import type { Denial, DenialCode } from './denial.ts'
import type { EdgeRules } from './edge-rules.ts'
import type { Identified } from './identify.ts'

/** Null where nothing is, and for whoever has come by another door. Proofs are of the past and are not asked for again. */
export function edgeWithdrawal({ edge, inbound, principal }: Identified, now: EdgeRules | undefined): Denial | null {
  if (edge === undefined || edge.rules === now) return null
  const against = (code: DenialCode, explanation: string) => deny(code, explanation, { caller: principal })
  if (now === undefined) return against('token_missing', 'tokens of other issuers are not accepted here any more')
  const { rules: before, issued } = edge
  const { subject, strength } = principal
  const issuer = subject.kind === 'user' ? subject.issuer : ''
  const textIn = ({ front, issuers }: EdgeRules) => (issued.own === null ? (issuers.get(issuer) ?? null) : front)
  const text = textIn(now)
  if (text === null || text !== textIn(before))
    return against('token_issuer', `the issuer of the token for ${issuer} is not accepted any more as it was`)
  if (!now.resources.has(inbound.audience)) return against('path_unknown', 'the server is not served here any more')
  if (strength === 'bearer-token' && !now.bearer) return against('bearer_refused', 'edge.bearer is off now')
  if (now.clientName(issued) !== before.clientName(issued))
    return against('client_unlisted', 'edge.clients does not have this client any more as it had')
  if (now.scopesRequired && !before.scopesRequired) return against('scope_insufficient', 'scopes are required now')
  return null
}

/** As when the token was shown: clocks of issuers and ours need not agree. */
const LEEWAY_SECONDS = 30

/** What is held against whoever has been waited for longer than their token is good; null where nothing is, and at other doors. */
export function edgeTokenEnded({ edge, principal }: Identified, now: EpochSeconds): Denial | null {
  if (edge === undefined || now < principal.expires + LEEWAY_SECONDS) return null
  return deny('token_expired', `exp was ${principal.expires}, and the call has waited beyond`, { caller: principal })
}
