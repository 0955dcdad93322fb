/** What the authority refuses: returned, never thrown. Codes are rows of the denial table. */

export type RefusalCode =
  | 'join_refused'
  | 'identity_unregistered'
  | 'request_invalid'
  | 'proof_invalid'
  | 'audience_unknown'
  | 'resource_unknown'
  | 'conflict'
  | 'limit_user'
  | 'authority_unready'

export interface AuthorityRefusal {
  readonly refused: true
  readonly code: RefusalCode
  /** For the operator: expected versus got. No secrets. */
  readonly explanation: string
}

export function refuse(code: RefusalCode, explanation: string): AuthorityRefusal {
  return { refused: true, code, explanation }
}

export function isAuthorityRefusal(value: object): value is AuthorityRefusal {
  return 'refused' in value && value.refused === true
}
