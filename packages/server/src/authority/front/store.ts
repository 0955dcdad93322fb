/**
 * What the front keeps: steps that a browser has to come back with, grants with their code and refresh token, and what people
 * have agreed to. Texts that open something are kept as SHA-256 in base64url alone.
 */

import type { EpochSeconds, UserClaim } from '@doorward/core'
import type { FrontClient } from './client.ts'

/** What was asked for, once client and redirect are known to belong together. */
export interface FrontRequest {
  readonly clientId: string
  /** As people and the record know it. */
  readonly clientName: string
  /** Who says where it is answered: anybody may publish a document. */
  readonly clientFrom: FrontClient['from']
  readonly redirectUri: string
  /** `code_challenge`, S256 (RFC 7636). */
  readonly challenge: string
  readonly resource: string
  readonly scopes: readonly string[]
  /** Of the client, for the redirect; null for none. */
  readonly state: string | null
  /** `dpop_jkt` (RFC 9449 §10): the only key that may redeem; null for whichever comes. */
  readonly jkt: string | null
}

/** A person whom the provider has named. */
export interface FrontPerson {
  readonly user: UserClaim
  readonly acr: string | null
  readonly amr: readonly string[]
  readonly authTime: EpochSeconds | null
  /** When the provider said so. */
  readonly signedInAt: EpochSeconds
}

export type FrontStep =
  | { readonly kind: 'sign-in'; readonly request: FrontRequest }
  | {
      readonly kind: 'consent'
      readonly request: FrontRequest
      readonly person: FrontPerson
      /** The trust epoch in which the page was shown. */
      readonly epoch: number
    }

export interface KeptStep {
  /** Of the handle that comes back: `state` of the provider, the token of our form. */
  readonly hash: string
  /** Of the cookie: no other browser ends a step. */
  readonly browser: string
  /** An address before the sign-in, the person after it. */
  readonly owner: string
  /** Whoever is counted as one where there is no room: the network of the address, the person. */
  readonly source: string
  readonly step: FrontStep
  readonly expiresAt: EpochSeconds
}

export interface FrontGrant {
  /** A digest of what its refresh tokens begin with: whoever reads it, here or on the record, cannot show one. */
  readonly id: string
  /** By which refresh tokens that were issued are told from those that were not. Opens nothing. */
  readonly seal: string
  readonly request: FrontRequest
  readonly person: FrontPerson
  /** The trust epoch in which it was made. */
  readonly epoch: number
  /** The key that every use of it has to prove; null before the first, and for bearer tokens. */
  readonly jkt: string | null
  readonly createdAt: EpochSeconds
  /** Nothing prolongs it. */
  readonly expiresAt: EpochSeconds
}

export interface HeldFrontGrant extends FrontGrant {
  /** Of the secret of the refresh token that is good now; null while none was given. */
  readonly refreshHash: string | null
}

export interface IssuedFrontToken {
  /** As denials name it. */
  readonly name: string
  readonly expiresAt: EpochSeconds
}

export interface Rotation {
  readonly id: string
  /** What the refresh token has to be now; null: none was given yet. */
  readonly from: string | null
  readonly to: string
  readonly jkt: string | null
  /** Which goes with it. */
  readonly token: IssuedFrontToken
}

export interface FrontConsent {
  /** `<issuer>#<subject>`. */
  readonly person: string
  readonly clientId: string
  readonly redirectUri: string
  readonly resource: string
  readonly scopes: readonly string[]
  /** The trust epoch in which they agreed. */
  readonly epoch: number
  readonly grantedAt: EpochSeconds
  readonly expiresAt: EpochSeconds
}

export interface FrontLimits {
  readonly perOwner: number
  readonly total: number
}

/**
 * Each verb is one transaction; what has ended counts for nothing. Durable when it resolves; `store_unavailable` means that
 * nothing is known, which callers treat as no.
 */
export interface FrontStore {
  /**
   * There is always room: where an owner has as many of the kind as the limits say, their oldest makes way; where everybody
   * together has, the oldest of the source that has most. So a flood costs those who make it, and nobody is kept out.
   */
  keep(step: KeptStep, now: EpochSeconds, limits: FrontLimits): Promise<void>
  /** The step of this kind, handle and browser: of any number of callers one gets it, and nobody after. */
  take(
    key: { readonly kind: FrontStep['kind']; readonly hash: string; readonly browser: string },
    now: EpochSeconds,
  ): Promise<FrontStep | null>
  /** A grant with its code. The person's oldest ends where they have as many as the limits say. */
  grant(
    grant: FrontGrant,
    code: { readonly hash: string; readonly expiresAt: EpochSeconds },
    now: EpochSeconds,
    limits: FrontLimits,
  ): Promise<'granted' | 'full'>
  /** The grant of a code, to one caller alone; `spent` to those who come after, for as long as the grant lasts. */
  redeem(
    codeHash: string,
    now: EpochSeconds,
  ): Promise<
    | { readonly outcome: 'redeemed'; readonly grant: FrontGrant }
    | { readonly outcome: 'spent'; readonly id: string }
    | { readonly outcome: 'unknown' }
  >
  find(id: string, now: EpochSeconds): Promise<HeldFrontGrant | null>
  /** Puts the next refresh token in place of the one that is known. `busy`: too many live tokens. */
  rotate(rotation: Rotation, now: EpochSeconds, mostLive: number): Promise<'rotated' | 'spent' | 'gone' | 'busy'>
  /** Ends a grant; what of its tokens is live still, or null where there was none. */
  end(id: string, now: EpochSeconds): Promise<readonly IssuedFrontToken[] | null>
  /** In place of what the person has agreed to before for the same client, redirect and resource. */
  remember(consent: FrontConsent, now: EpochSeconds, limits: FrontLimits): Promise<'kept' | 'full'>
  /** Nothing that this person has agreed to is known any more; null: nothing that anybody has. */
  forget(person: string | null): Promise<void>
  recall(
    key: Pick<FrontConsent, 'person' | 'clientId' | 'redirectUri' | 'resource'>,
    now: EpochSeconds,
  ): Promise<FrontConsent | null>
}
