/** Whom the operator trusts to say who a person is, and which workloads may act for those who have signed in there. */

import { matchesSpiffeId, parseSpiffeId } from '@doorward/core'
import type { IssuerClaims, SpiffeIdPattern } from '@doorward/core'

export interface SignInRefusal {
  readonly ok: false
  /** A code of tokens, or `issuer_unavailable`. */
  readonly code: string
  readonly message: string
}

/** One provider with a sign-in. */
export interface SignInIssuer {
  /** In configuration. */
  readonly name: string
  /** `iss`, exactly. */
  readonly issuer: string
  readonly workloads: readonly SpiffeIdPattern[]
  /** How long a sign-in is good; at most an hour. */
  readonly lifetimeSeconds: number
  /** How long ago the person may have proven who they are; null asks nothing. */
  readonly maxAgeSeconds: number | null
  /** What an ID token says that was made for this nonce; whatever cannot be found out is a refusal. */
  verify(idToken: string, nonce: string): Promise<IssuerClaims | SignInRefusal>
}

export interface People {
  readonly issuers: readonly SignInIssuer[]
}

/** Nobody signs in. */
export const noPeople: People = { issuers: [] }

/** The provider of an issuer text, when it lets this workload act for its people. */
export function signInIssuer({ issuers }: People, issuer: string, workload: string): SignInIssuer | null {
  const id = parseSpiffeId(workload)
  const found = issuers.find((one) => one.issuer === issuer)
  return found?.workloads.some((pattern) => matchesSpiffeId(pattern, id)) === true ? found : null
}
