/** What the front refuses: returned, never thrown. Codes are rows of the denial table. */

export type FrontCode =
  | 'client_unknown'
  | 'request_invalid'
  | 'consent_unknown'
  | 'consent_refused'
  | 'consent_unavailable'
  | 'login_refused'
  | 'grant_refused'
  | 'grant_unsupported'
  | 'scope_unknown'
  | 'audience_unknown'
  | 'dpop_invalid'
  | 'limit_user'
  | 'authority_unready'

export interface FrontRefusal {
  readonly refused: true
  readonly code: FrontCode
  /** For the operator: expected versus got. No secrets. */
  readonly why: string
}

export function refuseFront(code: FrontCode, why: string): FrontRefusal {
  return { refused: true, code, why }
}

export function isFrontRefusal(value: object): value is FrontRefusal {
  return 'refused' in value && value.refused === true
}
