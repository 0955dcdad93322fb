/** What the authority refuses: returned, never thrown. Codes are rows of the denial table. */

import type { JsonObject } from '@doorward/core'

export type RefusalCode =
  | 'join_refused'
  | 'login_refused'
  | 'grant_refused'
  | 'exchange_refused'
  | 'exchange_audience'
  | 'exchange_actor'
  | 'exchange_loop'
  | 'exchange_depth'
  | 'exchange_denied'
  | 'scope_unknown'
  | 'scope_widened'
  | 'issuer_unavailable'
  | 'instance_locked'
  | 'delegation_refused'
  | 'identity_unregistered'
  | 'identity_denied'
  | 'certificate_denied'
  | 'request_invalid'
  | 'proof_invalid'
  | 'audience_unknown'
  | 'resource_unknown'
  | 'conflict'
  | 'limit_user'
  | 'authority_unready'
  | 'lifetime_unfit'

export interface AuthorityRefusal {
  readonly refused: true
  readonly code: RefusalCode
  /** For the operator: expected versus got. No secrets. */
  readonly explanation: string
  /** What the caller is told as well: only where who may call may know it. */
  readonly details?: JsonObject
}

export function refuse(code: RefusalCode, explanation: string, details?: JsonObject): AuthorityRefusal {
  return { refused: true, code, explanation, ...(details === undefined ? {} : { details }) }
}

export function isAuthorityRefusal(value: object): value is AuthorityRefusal {
  return 'refused' in value && value.refused === true
}
