/** Refusals in the words of OAuth: the error response of a token endpoint (RFC 6749 §5.2, RFC 8707 §2). */

import type { JsonObject } from '@doorward/core'
import { denialRow } from '../denial.ts'
import type { Denial, DenialCode } from '../denial.ts'

export interface OAuthError {
  readonly status: number
  /** `error` and `error_description`. */
  readonly body: JsonObject
}

/** Codes with a name of their own in OAuth; the others go by their status. */
const names: Partial<Readonly<Record<DenialCode, string>>> = {
  grant_unsupported: 'unsupported_grant_type',
  grant_refused: 'invalid_grant',
  exchange_refused: 'invalid_grant',
  exchange_audience: 'invalid_grant',
  exchange_actor: 'invalid_grant',
  exchange_loop: 'invalid_grant',
  exchange_depth: 'invalid_grant',
  exchange_denied: 'invalid_grant',
  scope_unknown: 'invalid_scope',
  scope_widened: 'invalid_scope',
  audience_unknown: 'invalid_target',
  client_unknown: 'invalid_client',
  dpop_invalid: 'invalid_dpop_proof',
  dpop_replayed: 'invalid_dpop_proof',
  dpop_nonce: 'use_dpop_nonce',
  policy_denied: 'unauthorized_client',
  policy_forbidden: 'unauthorized_client',
  policy_error: 'unauthorized_client',
}

/**
 * Whoever fails to authenticate is told 401, whatever else is wrong with a request 400. Limits and failures keep their
 * status, for which RFC 6749 has no name at this endpoint: they borrow those of its §4.1.2.1.
 */
export function oauthErrorOf({ code, http }: Denial): OAuthError {
  const row = denialRow(code)
  const status = http ?? row.http
  const body = (error: string) => ({ error, error_description: row.text })
  const name = names[code]
  if (name !== undefined) return { status: 400, body: body(name) }
  if (status === 401) return { status, body: body('invalid_client') }
  if (status === 429 || status > 500) return { status, body: body('temporarily_unavailable') }
  return status === 500 ? { status, body: body('server_error') } : { status: 400, body: body('invalid_request') }
}
