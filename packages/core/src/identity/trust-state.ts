/**
 * Trust state: the signed, versioned document that says whom to trust now (reference ids RV-1 … RV-7, CA-4).
 *
 * A document is one full state. Versions order as (delegation, sequence): a new delegation by the recovery
 * root outranks everything signed under an earlier one. This file holds the values and the judgements over
 * them; `trust-state-codec` turns them into signed bytes and back.
 */

import type { P256Jwk } from '../primitives.ts'
import type { EpochSeconds } from '../time.ts'

/** Certificates and tokens are dated this much back, so that a slightly slow clock accepts them. */
export const backdatingSeconds = 60

/** A denial outlives what it refuses by so much, because receivers' clocks differ. */
export const denialMarginSeconds = 60

/**
 * Who a state is for. `full` is for those who decide about callers; `callers` names no workload and, of what was issued,
 * only the servers: all that somebody needs who only calls.
 */
export type TrustScope = 'full' | 'callers'

export type SlotState = 'prepared' | 'published' | 'active' | 'retired'

/** One signing authority's self-signed certificate. */
export interface TrustAnchor {
  /** Hex of the subject key identifier. */
  readonly keyId: string
  readonly state: SlotState
  /** DER. */
  readonly certificate: Uint8Array
  /** Certificates under it are of this epoch: refused once the state's epoch is later (RV-6). */
  readonly epoch: number
  /** What it has signed is to be replaced now, without waiting for half-life. */
  readonly reissue: boolean
}

/** One running authority, as workloads reach it. */
export interface AuthorityPlace {
  readonly name: string
  /** `host:port` of its main listener. */
  readonly main: string
  /** `host:port` of its enrolment listener. */
  readonly enrol: string
  /** `host:port` of its admin listener, where operators elsewhere reach it. */
  readonly admin?: string
}

export interface TokenKey {
  readonly kid: string
  readonly state: SlotState
  readonly jwk: P256Jwk
}

export interface RegisteredWorkload {
  /** SPIFFE ID. */
  readonly id: string
  readonly roles: readonly string[]
}

/** A certificate that the authority has logged and released. */
export interface Issued {
  /** SHA-256 of the DER certificate, base64url. */
  readonly fingerprint: string
  readonly id: string
  readonly notAfter: EpochSeconds
}

/** Credentials of this identity issued before the moment are refused (RV-5). */
export interface DeniedIdentity {
  /** SPIFFE ID, or `<issuer>#<subject>` of a user. */
  readonly id: string
  readonly issuedBefore: EpochSeconds
}

export interface Denials {
  readonly identities: readonly DeniedIdentity[]
  /** Lowercase hex serial numbers. */
  readonly serials: readonly string[]
  /** Token ids (`jti`). */
  readonly tokens: readonly string[]
  /** Key ids of signing authorities, and `kid`s of token keys and of keys for JWT-SVIDs. */
  readonly authorities: readonly string[]
}

export interface TrustState {
  readonly scope: TrustScope
  readonly trustDomain: string
  /** Version of the delegation under which this state is signed. */
  readonly delegation: number
  readonly sequence: number
  readonly issuedAt: EpochSeconds
  readonly expiresAt: EpochSeconds
  /** Everything issued in an earlier epoch is refused (RV-6). */
  readonly epoch: number
  readonly authorities: readonly AuthorityPlace[]
  readonly anchors: readonly TrustAnchor[]
  readonly tokenKeys: readonly TokenKey[]
  /** Keys that sign JWT-SVIDs and nothing else (JW-8). */
  readonly jwtSvidKeys: readonly TokenKey[]
  readonly workloads: readonly RegisteredWorkload[]
  readonly issued: readonly Issued[]
  readonly denied: Denials
}

/** The recovery root's statement that these keys may sign trust state until `expiresAt`: one key per authority. */
export interface Delegation {
  readonly trustDomain: string
  /** Rises with each delegation. */
  readonly version: number
  /** 1 to 8, distinct. */
  readonly keys: readonly P256Jwk[]
  readonly issuedAt: EpochSeconds
  readonly expiresAt: EpochSeconds
}

/** Signed proof that the authority is alive and that `sequence` is still the newest state of the scope. */
export interface Heartbeat {
  readonly scope: TrustScope
  readonly trustDomain: string
  readonly delegation: number
  readonly sequence: number
  /** SHA-256 of the newest state's signed bytes, base64url. */
  readonly digest: string
  readonly time: EpochSeconds
}

export type StateOrder = 'newer' | 'same' | 'older'

/** Compares versions as (delegation, sequence). */
export function compareStates(
  candidate: { readonly delegation: number; readonly sequence: number },
  current: { readonly delegation: number; readonly sequence: number },
): StateOrder {
  const difference = candidate.delegation - current.delegation || candidate.sequence - current.sequence
  return difference > 0 ? 'newer' : difference < 0 ? 'older' : 'same'
}

/** How far decisions may rely on a state that was last confirmed `ageSeconds` ago. */
export type Freshness = 'fresh' | 'reduced' | 'stale'

export interface StalenessLimits {
  /** Full function up to here; 60 by default, at most 3600. */
  readonly fullSeconds: number
  /** Known identities at a reduced rate up to here, then deny; 300 by default, at most 3600. */
  readonly reducedSeconds: number
}

export function freshness(ageSeconds: number, limits: StalenessLimits): Freshness {
  if (ageSeconds <= limits.fullSeconds) return 'fresh'
  return ageSeconds <= limits.reducedSeconds ? 'reduced' : 'stale'
}
