/** The port through which somebody proves to be a registered workload: one attestor for each kind of evidence. */

import type { P256Jwk, Secret } from '@doorward/core'
import type { OneTimeProof } from '../ports.ts'
import { refuse } from '../refusal.ts'
import type { AuthorityRefusal } from '../refusal.ts'
import type { AttestationKind } from './rule.ts'

/** What is shown, as it came over the wire: bounded and well-formed, and nothing of it proven. */
export type Evidence =
  | { readonly kind: 'join_token'; readonly token: Secret }
  /** The proof of the machine key itself. */
  | { readonly kind: 'bound_key' }
  | {
      readonly kind: 'x509_pop'
      /** DER, leaf first; at most four. */
      readonly chain: readonly Uint8Array[]
      /** By the leaf's key over `x509ProofBytes`. */
      readonly proof: Uint8Array
    }
  | { readonly kind: 'oidc'; readonly token: Secret }

export type EvidenceOf<K extends AttestationKind> = Extract<Evidence, { readonly kind: K }>

/** Whoever asks: the machine key has proven itself over this very connection. */
export interface Applicant {
  /** Who it wants to be; null when the evidence alone says so. */
  readonly id: string | null
  readonly machineKey: P256Jwk
  /** Keying material of the connection under `enrolLabel`. */
  readonly exported: Uint8Array
}

/** What has to be used up, so that the evidence admits nobody else; null for evidence that is good on this connection alone. */
export type Consumption =
  | { readonly kind: 'join_token'; readonly hash: string }
  | { readonly kind: 'proof'; readonly proof: OneTimeProof }
  | null

/** A proven identity: by a rule that its registration lists. */
export interface Attested {
  readonly id: string
  readonly kind: AttestationKind
  /** For the record: what was proven, and by whom. No secrets. */
  readonly proven: Readonly<Record<string, string>>
  readonly consumes: Consumption
}

/**
 * Judges evidence against the rules of the registration and consumes nothing, so that the decision can be on record
 * before anything is used up. Safe for concurrent use. Refuses with `join_refused`, and with `authority_unready` when
 * what it needs to judge cannot be had now. Throws only what the store throws.
 */
export interface Attestor<K extends AttestationKind> {
  attest(evidence: EvidenceOf<K>, applicant: Applicant): Promise<Attested | AuthorityRefusal>
}

export type Attestors = { readonly [K in AttestationKind]: Attestor<K> }

export function attest(
  attestors: Attestors,
  evidence: Evidence,
  applicant: Applicant,
): Promise<Attested | AuthorityRefusal> {
  switch (evidence.kind) {
    case 'join_token':
      return attestors.join_token.attest(evidence, applicant)
    case 'bound_key':
      return attestors.bound_key.attest(evidence, applicant)
    case 'x509_pop':
      return attestors.x509_pop.attest(evidence, applicant)
    case 'oidc':
      return attestors.oidc.attest(evidence, applicant)
  }
}

/** Evidence that proves nothing to us: the caller learns no more than that. */
export function unattested(explanation: string): AuthorityRefusal {
  return refuse('join_refused', explanation)
}
