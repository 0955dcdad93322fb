/** What one of our access tokens says (RFC 9068 §2.2 layout, kind 2 of the identity reference). No roles: those come from the trust state. */

import type { ChainLink } from '../identity/principal.ts'
import type { EpochSeconds } from '../time.ts'

/** Private claim: the trust epoch in which the token was issued. */
export const epochClaim = 'urn:doorward:epoch'

/** The actor chain of RFC 8693 §4.1, current actor outermost. */
export interface ActClaim {
  /** SPIFFE ID. */
  readonly sub: string
  readonly act?: ActClaim
}

/** Private claim: the person on whose behalf the presenter calls. */
export const userClaim = 'urn:doorward:user'

/** What of a person is carried along; more is refused, never cut: a rule that denies a group must see it. */
export const userLimits = { subjectLength: 256, groups: 64, groupLength: 128, issuerLength: 512 } as const

export interface UserClaim {
  /** `iss` of the issuer that named the person. */
  readonly issuer: string
  readonly subject: string
  readonly groups: readonly string[]
}

/** Private claim: the stamp of each exchange that led here, nearest first. */
export const chainClaim = 'urn:doorward:chain'

/** Who may exchange the token (RFC 8693 §4.4), and what is made of it: SPIFFE IDs. RFC 8693 names one; a list lasts for the chain. */
export interface MayActClaim {
  /** Empty: nobody. */
  readonly sub: readonly string[]
}

/** The payload as it goes over the wire. Members with `?` may be absent; no other member is accepted. */
export interface AccessTokenClaims {
  readonly iss: string
  /** SPIFFE ID of the workload on whose behalf the call is made, or `<issuer>#<subject>` of the user. */
  readonly sub: string
  /** Exactly one audience. */
  readonly aud: string
  readonly iat: EpochSeconds
  readonly nbf: EpochSeconds
  /** At most 300 s after `iat`. */
  readonly exp: EpochSeconds
  /** Random, at most 128 characters. */
  readonly jti: string
  /** SPIFFE ID of the presenter: the subject itself, or the outermost actor. */
  readonly client_id: string
  /** SHA-256 of the presenter's DER certificate, base64url (RFC 8705 §3.1). */
  readonly cnf: { readonly 'x5t#S256': string }
  readonly act?: ActClaim
  /** Without it, whoever the token is addressed to may exchange it. */
  readonly may_act?: MayActClaim
  /** Permissions, one space between (RFC 8693 §4.2): what the token may be used for, of what policy allows. Without it, all of that. */
  readonly scope?: string
  readonly [epochClaim]: number
  /** Says what `sub` names. */
  readonly [userClaim]?: UserClaim
  /** One for each hop of `act` that was exchanged; absent where there is none. */
  readonly [chainClaim]?: readonly ChainLink[]
}

export const tokenLimits = {
  bytes: 4096,
  lifetimeSeconds: 300,
  actDepth: 4,
  idLength: 128,
  mayAct: 8,
  scopes: 32,
  scopeLength: 1024,
} as const

/** Why a token is refused. Each is a row of the denial table. */
export type TokenCode =
  | 'token_malformed'
  | 'token_too_large'
  | 'token_algorithm'
  | 'token_type'
  | 'token_header'
  | 'token_key_unknown'
  | 'token_signature'
  | 'token_claims'
  | 'token_expired'
  | 'token_not_yet_valid'
  | 'token_issuer'
  | 'token_audience'
  | 'token_binding'
  | 'token_subject'
  | 'token_epoch'
  | 'token_lifetime'
