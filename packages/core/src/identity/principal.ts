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
export type AuthenticationStrength =
  | 'mtls-bound-token'
  /** As before, but the certificate was shown to a proxy, whose word it is that its holder has the key. */
  | 'asserted-bound-token'
  | 'mtls-enrolment'
  | 'mtls-client-credentials'
  /** At the edge: no certificate, but a proof by the key that the token is bound to (RFC 9449). */
  | 'dpop-bound-token'
  /** At the edge, where an operator insists: whoever has the token is believed. */
  | 'bearer-token'

/** A token that was exchanged for another, as the one that was made of it remembers it. */
export interface ChainLink {
  readonly jti: string
  readonly iat: EpochSeconds
  /** `kid` of the key that signed it. */
  readonly kid: string
  /** Of the certificate that it was bound to, lowercase hex. */
  readonly serial: string
  /** Key id of the signing authority of that certificate. */
  readonly anchor: string
}

/** A link, and whose token it was. */
export interface HeldLink extends ChainLink {
  /** SPIFFE ID. */
  readonly holder: string
}

export interface Principal {
  /** On whose behalf the call is made. */
  readonly subject: Subject
  /** The workload at the other end of the connection. Equals the subject when nobody is acted for. */
  readonly presenter: SpiffeId
  /** Actors between the presenter and the subject, current actor first (RFC 8693 §4.1); empty without delegation. */
  readonly act: readonly SpiffeId[]
  /** Roles that the trust state gives the presenter. */
  readonly roles: readonly string[]
  /** Those that it gives the other workloads of the chain, by SPIFFE ID; absent where there are none. */
  readonly given?: ReadonlyMap<string, readonly string[]>
  /** The tokens that were exchanged on the way here, nearest first; absent where none was. */
  readonly chain?: readonly HeldLink[]
  /** Permissions that the token is narrowed to; absent where it is not. Policy decides all the same. */
  readonly scope?: readonly string[]
  /** The trust epoch of the credentials used. */
  readonly epoch: number
  readonly strength: AuthenticationStrength
  /** SHA-256 of the peer's DER certificate, base64url (RFC 8705 `x5t#S256`); empty at the edge. */
  readonly certificateFingerprint: string
  readonly certificateSerial: string
  /** `jti` of the token, absent where the credential is the certificate alone (token endpoint, enrolment). */
  readonly tokenId: string | null
  /** The earlier of certificate and token expiry. */
  readonly expires: EpochSeconds
}

/** The one name of a user: `<issuer>#<subject>`. The issuer of configuration has no `#`. */
export function userName({ issuer, subject }: Pick<UserSubject, 'issuer' | 'subject'>): string {
  return `${issuer}#${subject}`
}

const MAX_NAME = 1024
const USER_NAME = /^(https:\/\/[^#\s\p{Cc}\p{Cs}]+)#([^\p{Cc}\p{Cs}]+)$/u

/** The parts of a `userName`; null for anything else. */
export function readUserName(text: string): Pick<UserSubject, 'issuer' | 'subject'> | null {
  const [, issuer, subject] = (text.length <= MAX_NAME ? USER_NAME.exec(text) : null) ?? []
  return issuer === undefined || subject === undefined ? null : { issuer, subject }
}

/** The name of the subject, as limits, denials and the record have it. */
export function subjectName(subject: Subject): string {
  return subject.kind === 'workload' ? subject.id.uri : userName(subject)
}

/** One word for logs and sessions: the subject, and where somebody is acted for the presenter and whoever stands between. */
export function principalName({
  subject: who,
  presenter,
  act,
}: Pick<Principal, 'subject' | 'presenter' | 'act'>): string {
  const subject = subjectName(who)
  if (subject === presenter.uri) return subject
  const through = act.length === 0 ? '' : ` through ${act.map(({ uri }) => uri).join(' ')}`
  return `${presenter.uri}${through} for ${subject}`
}
