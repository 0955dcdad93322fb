/** What is asked of callers who hold no certificate, as a gateway is configured. */

import type { EpochSeconds, ImportPublicKey, ProofAlgorithm, Sha256, TrustDomain } from '@doorward/core'
import type { IssuedToken, IssuerTokens, ProofNonces, ReplayGuard } from './ports.ts'

/** What the edge insists on. */
export interface EdgeRules {
  readonly tokens: IssuerTokens
  /** By `iss`, whatever is configured of the judgement of its tokens: one that says something else is another issuer. */
  readonly issuers: ReadonlyMap<string, string>
  /** The same of our own front; null where there is none. */
  readonly front: string | null
  /** Resource identifiers of the servers that are reached here. */
  readonly resources: ReadonlySet<string>
  readonly trustDomain: TrustDomain
  /** Origin by which callers reach the edge, from configuration: what proofs are for. */
  readonly publicUrl: string
  /** The name of an OAuth client; null for one that is not let in. */
  readonly clientName: (issued: Pick<IssuedToken, 'clientId' | 'own'>) => string | null
  /** Tokens that are bound to no key are accepted. */
  readonly bearer: boolean
  /** What policy allows has to be covered by a scope of the token, too. */
  readonly scopesRequired: boolean
  readonly proofs: ProofRules
}

export interface ProofRules {
  readonly algorithms: readonly ProofAlgorithm[]
  readonly importKey: ImportPublicKey
  readonly sha256: Sha256
  readonly guard: ReplayGuard
  readonly nonces: ProofNonces
  readonly nonceRequired: boolean
  /** When this process began to remember proofs: what is older may have been used before (reference id RP-6). */
  readonly since: EpochSeconds
}

/** How a caller without a certificate was let in. */
export interface EdgeEntry {
  readonly rules: EdgeRules
  readonly issued: Pick<IssuedToken, 'clientId' | 'own'>
}
