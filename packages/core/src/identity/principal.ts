/** Who a call is from: a workload, a user, or a workload acting for one of them. */

import type { EpochSeconds } from '../time.ts'
import type { SpiffeId } from './spiffe-id.ts'

export interface WorkloadSubject {
  readonly kind: 'workload'
  readonly id: SpiffeId
}

/** A person, as a configured issuer names them. */
export interface UserSubject {
  readonly kind: 'user'
  readonly issuer: string
  readonly subject: string
  readonly groups: readonly string[]
}

export type Subject = WorkloadSubject | UserSubject

/** How strongly the caller proved itself on this request. Weaker ways get their own word. */
export type AuthenticationStrength = 'mtls-bound-token' | 'mtls-enrolment' | 'mtls-client-credentials'

export interface Principal {
  /** On whose behalf the call is made. */
  readonly subject: Subject
  /** The workload at the other end of the connection. Equals the subject when nobody is acted for. */
  readonly presenter: SpiffeId
  /** Actors between the presenter and the subject, current actor first (RFC 8693 §4.1); empty without delegation. */
  readonly act: readonly SpiffeId[]
  /** Roles that the trust state gives the presenter. */
  readonly roles: readonly string[]
  /** The trust epoch of the credentials used. */
  readonly epoch: number
  readonly strength: AuthenticationStrength
  /** SHA-256 of the peer's DER certificate, base64url (RFC 8705 `x5t#S256`). */
  readonly certificateFingerprint: string
  readonly certificateSerial: string
  /** `jti` of the token, absent where the credential is the certificate alone (token endpoint, enrolment). */
  readonly tokenId: string | null
  /** The earlier of certificate and token expiry. */
  readonly expires: EpochSeconds
}

/** One word for logs and quotas: the subject, and the presenter when somebody is acted for. */
export function principalName(principal: Principal): string {
  const subject =
    principal.subject.kind === 'workload'
      ? principal.subject.id.uri
      : `${principal.subject.issuer}#${principal.subject.subject}`
  return subject === principal.presenter.uri ? subject : `${principal.presenter.uri} for ${subject}`
}
