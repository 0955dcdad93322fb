/** Stage 1: who is calling. Certificate first, then token; the body has not been read. */

import { actorsOf, epochClaim, heldLinks, parseSpiffeId, toSeconds, userClaim, verifyToken } from '@doorward/core'
import type {
  AccessTokenClaims,
  AuthenticationStrength,
  EpochSeconds,
  ImportP256,
  Principal,
  SpiffeId,
  StalenessLimits,
  Subject,
} from '@doorward/core'
import { standingProblem } from './certificate-standing.ts'
import type { AcceptedToken, VerifiedLeaf } from './certificate-standing.ts'
import { deny, isDenial } from './denial.ts'
import type { Denial, PartialCaller } from './denial.ts'
import type { Inbound } from './inbound.ts'
import type { KnownIdentities } from './known-identities.ts'
import type { EdgeEntry, EdgeRules } from './edge-rules.ts'
import type { Rate, RateLimiter, TrustSource, TrustView } from './ports.ts'
import { rolesIn } from './trust-roles.ts'
import { takePerson, takeUser } from './user-limit.ts'
import { tokenWithdrawal } from './withdrawal.ts'
import type { PresentedToken } from './withdrawal.ts'

declare const identified: unique symbol

/** A request whose caller is certain. */
export interface Identified {
  readonly [identified]: true
  readonly inbound: Inbound
  readonly principal: Principal
  /** Null where the certificate alone was asked for. */
  readonly token: PresentedToken | null
  /** The trust view by which all this was judged. */
  readonly generation: number
  /** Scopes of the token, where they narrow what policy allows; they narrow nothing where there are none. */
  readonly scopes?: readonly string[]
  /** Of whoever has come without a certificate. */
  readonly edge?: EdgeEntry
}

/**
 * `token`: certificate and bound token. `certificate`: the certificate alone, for the token endpoint only. `edge`: a token
 * of a configured issuer, and no certificate, on the listener that is for them.
 */
export type RequiredCredential = 'token' | 'certificate' | 'edge'

export interface IdentifySettings {
  /** Issuer of the tokens, from configuration. */
  readonly issuer: string
  readonly staleness: StalenessLimits
  readonly perUser: Rate
  /** How long a certificate that is not in the issuance mirror waits for the next trust state. 1000 by default. */
  readonly mirrorWaitMilliseconds: number
}

export interface IdentifyDependencies {
  readonly trust: TrustSource
  readonly limiter: RateLimiter
  readonly importP256: ImportP256
  readonly known: KnownIdentities
  readonly settings: IdentifySettings
  /** Nobody is let in without a certificate where there is none. */
  readonly edge?: EdgeRules
}

const LEEWAY_SECONDS = 30

export async function identify(
  inbound: Inbound,
  credential: Exclude<RequiredCredential, 'edge'>,
  dependencies: IdentifyDependencies,
): Promise<Identified | Denial> {
  const standing = await standingLeaf(inbound, dependencies)
  if (isDenial(standing)) return standing
  const { leaf, caller, current } = standing
  const limited = await takeUser(caller.id, caller, dependencies)
  if (limited !== null) return limited
  const presented =
    credential === 'certificate'
      ? { principal: certificatePrincipal(leaf, current), token: null }
      : presentedToken(inbound, leaf, current, dependencies)
  if ('denied' in presented) return presented
  const { principal, token } = presented
  const person = principal.subject.kind === 'workload' ? null : await takePerson(principal, dependencies)
  if (person !== null) return person
  if (dependencies.trust.ageSeconds() <= dependencies.settings.staleness.fullSeconds) dependencies.known.add(caller.id)
  inbound.connection.standing.identified = true
  return { inbound, principal, token, generation: current.generation } as Identified
}

interface StandingLeaf {
  readonly leaf: VerifiedLeaf
  readonly caller: PartialCaller
  /** By which it stands. */
  readonly current: TrustView
}

/** The certificate of the connection, as it stands now. */
async function standingLeaf(inbound: Inbound, dependencies: IdentifyDependencies): Promise<StandingLeaf | Denial> {
  const view = dependencies.trust.current()
  if (view === null) return deny('trust_stale', 'no trust state has been received yet')
  const leaf = verifiedLeaf(inbound, view, dependencies)
  if (isDenial(leaf)) return leaf
  const caller = partialCaller(leaf)
  const current = isMirrored(leaf, view) ? view : await awaitMirror(leaf, dependencies)
  if (current === null) {
    return deny(
      'certificate_not_issued',
      `fingerprint ${caller.certificateFingerprint} is not in the issuance mirror`,
      { caller },
    )
  }
  return standingProblem(leaf, current, dependencies.trust.now()) ?? { leaf, caller, current }
}

/**
 * A proxy that asks about requests of others, by its certificate alone: the tokens that it shows are theirs. It has no limit
 * of its own, because each of those requests counts for whoever has made it.
 */
export async function identifyAsker(
  inbound: Inbound,
  dependencies: IdentifyDependencies,
): Promise<PartialCaller | Denial> {
  const standing = await standingLeaf(inbound, dependencies)
  if (isDenial(standing)) return standing
  inbound.connection.standing.identified = true
  return standing.caller
}

/**
 * A caller whom the authority has recognised by a join token or by a bound machine key, proven over this connection.
 * Its strength tells policy that it is good for enrolment and nothing else. The connection's certificate is the one over
 * the key to be certified; what it must be like is judged where it is read, not here.
 */
export async function identifyEnrolment(
  inbound: Inbound,
  id: SpiffeId,
  dependencies: IdentifyDependencies,
): Promise<Identified | Denial> {
  const { certificate } = inbound.connection
  const view = dependencies.trust.current()
  if (view === null) return deny('trust_stale', 'no trust state has been published yet')
  if (certificate === null) return deny('certificate_missing', 'expected a self-signed certificate over the new key')
  const leaf = { certificate, id }
  const limited = await takeUser(id.uri, partialCaller(leaf), dependencies)
  if (limited !== null) return limited
  const principal = principalOf(leaf, view, {
    strength: 'mtls-enrolment',
    tokenId: null,
    expires: certificate.notAfter,
  })
  return { inbound, principal, token: null, generation: view.generation } as Identified
}

/** A certificate, and who holds its key. */
type NamedCertificate = Pick<VerifiedLeaf, 'certificate' | 'id'>

function verifiedLeaf(inbound: Inbound, view: TrustView, dependencies: IdentifyDependencies): VerifiedLeaf | Denial {
  const { connection } = inbound
  if (connection.resumed) return deny('session_resumed', 'the TLS session was resumed')
  return connection.standing.judge(connection.certificate, view, dependencies.trust.now(), dependencies.importP256)
}

function partialCaller(leaf: NamedCertificate): PartialCaller {
  return {
    id: leaf.id.uri,
    certificateFingerprint: leaf.certificate.fingerprint,
    certificateSerial: leaf.certificate.serial,
  }
}

function isMirrored(leaf: VerifiedLeaf, candidate: TrustView): boolean {
  const { fingerprint } = leaf.certificate
  return candidate.issued.get(fingerprint)?.id === leaf.id.uri
}

/** A certificate may be a moment younger than the mirror: wait for messages, but not for long. */
async function awaitMirror(leaf: VerifiedLeaf, dependencies: IdentifyDependencies): Promise<TrustView | null> {
  const deadline = dependencies.trust.now() + dependencies.settings.mirrorWaitMilliseconds
  for (;;) {
    const left = deadline - dependencies.trust.now()
    if (left <= 0) return null
    const next = await dependencies.trust.next(left)
    if (next !== null && isMirrored(leaf, next)) return next
  }
}

function certificatePrincipal(leaf: VerifiedLeaf, view: TrustView): Principal {
  return principalOf(leaf, view, {
    strength: 'mtls-client-credentials',
    tokenId: null,
    expires: leaf.certificate.notAfter,
  })
}

interface PrincipalCredential extends Pick<Principal, 'chain' | 'scope'> {
  /** The workload itself by default. */
  readonly subject?: Subject
  /** Nobody by default. */
  readonly act?: readonly SpiffeId[]
  readonly strength: AuthenticationStrength
  readonly tokenId: string | null
  readonly expires: EpochSeconds
}

function principalOf(leaf: NamedCertificate, view: TrustView, credential: PrincipalCredential): Principal {
  const { subject = { kind: 'workload', id: leaf.id }, act = [], ...rest } = credential
  const presenter = leaf.id
  return {
    subject,
    presenter,
    act,
    ...rolesIn(view, { presenter, subject, act }),
    epoch: view.state.epoch,
    certificateFingerprint: leaf.certificate.fingerprint,
    certificateSerial: leaf.certificate.serial,
    ...rest,
  }
}

/** The token of an `Authorization` header; null when it holds none. */
export function bearer(header: string | undefined): string | null {
  return header !== undefined && /^Bearer [^ ]/i.test(header) ? header.slice('Bearer '.length) : null
}

type Presented = Pick<Identified, 'principal'> & { readonly token: PresentedToken }

function presentedToken(
  inbound: Inbound,
  leaf: VerifiedLeaf,
  view: TrustView,
  dependencies: IdentifyDependencies,
): Presented | Denial {
  const caller = partialCaller(leaf)
  const text = bearer(inbound.head.headers['authorization'])
  if (text === null) return deny('token_missing', 'no Authorization: Bearer header', { caller })
  const { standing } = inbound.connection
  const key = `${inbound.audience} ${text}`
  const seconds = toSeconds(dependencies.trust.now())
  const remembered = standing.remembered(key)
  if (remembered !== undefined) {
    const problem = repeatedTokenProblem(remembered.claims, view, seconds, caller)
    if (problem !== null) return problem
    return remembered.generation === view.generation
      ? remembered
      : accepted(inbound, { ...remembered, key, leaf, view })
  }
  const verdict = verifyToken(text, {
    expect: {
      issuer: dependencies.settings.issuer,
      audience: inbound.audience,
      trustDomain: leaf.id.trustDomain,
      certificateFingerprint: leaf.certificate.fingerprint,
      epoch: view.state.epoch,
    },
    keys: view.tokenKeys,
    now: seconds,
    leewaySeconds: LEEWAY_SECONDS,
  })
  if (!verdict.ok) {
    return deny(verdict.code, verdict.message, { caller })
  }
  const { claims, keyId } = verdict
  const problem = presenterProblem(claims, leaf.id, caller) ?? repeatedTokenProblem(claims, view, seconds, caller)
  if (problem !== null) return problem
  const token = { id: claims.jti, keyId, epoch: claims[epochClaim], issuedAt: claims.iat }
  return accepted(inbound, { key, claims, token, leaf, view })
}

interface Accepting {
  readonly key: string
  readonly claims: AccessTokenClaims
  readonly token: PresentedToken
  readonly leaf: VerifiedLeaf
  readonly view: TrustView
}

function accepted(inbound: Inbound, { key, claims, token, leaf, view }: Accepting): AcceptedToken {
  const principal = principalOf(leaf, view, {
    ...subjectOf(claims),
    strength: inbound.asker === undefined ? 'mtls-bound-token' : 'asserted-bound-token',
    tokenId: claims.jti,
    expires: Math.min(claims.exp, leaf.certificate.notAfter) as EpochSeconds,
  })
  const remembered = { claims, token, principal, generation: view.generation }
  inbound.connection.standing.remember(key, remembered)
  return remembered
}

/** Whom the token names beside the presenter; `verifyToken` has seen that the chain is whole, and stamped. */
function subjectOf(claims: AccessTokenClaims): Pick<PrincipalCredential, 'subject' | 'act' | 'chain' | 'scope'> {
  const { act, sub, scope, [userClaim]: user } = claims
  const narrowed = scope === undefined ? {} : { scope: scope.split(' ') }
  if (act === undefined) return narrowed
  const chain = heldLinks(claims)
  return {
    subject: user === undefined ? { kind: 'workload', id: parseSpiffeId(sub) } : { kind: 'user', ...user },
    act: actorsOf(act).slice(1).map(parseSpiffeId),
    ...(chain.length === 0 ? {} : { chain }),
    ...narrowed,
  }
}

/** Whoever acts is who holds the connection; `verifyToken` has seen that `client_id` is the current actor, or the subject. */
function presenterProblem({ client_id }: AccessTokenClaims, id: SpiffeId, caller: PartialCaller): Denial | null {
  if (client_id === id.uri) return null
  return deny('token_subject', `expected client_id ${id.uri}, got ${client_id}`, { caller })
}

/** What may change between two requests with the same token. */
function repeatedTokenProblem(
  claims: AccessTokenClaims,
  view: TrustView,
  seconds: EpochSeconds,
  caller: PartialCaller,
): Denial | null {
  if (seconds >= claims.exp + LEEWAY_SECONDS) return deny('token_expired', `exp was ${claims.exp}`, { caller })
  const withdrawn = tokenWithdrawal(claims, view)
  return withdrawn === null ? null : { ...withdrawn, caller }
}
