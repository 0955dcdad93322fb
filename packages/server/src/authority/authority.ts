/** One authority: its rules over one store, one custody and one record. Knows no wire. */

import { calleeRole, gatewayRole } from '@doorward/core'
import type { Delegation, EpochMillis, SignedDelegation, TrustDomain, TrustScope, TrustState } from '@doorward/core'
import type { Ceremonies } from './ceremonies.ts'
import { nowSeconds } from './context.ts'
import type { AuthorityContext } from './context.ts'
import { acceptDelegation, delegationRequest } from './delegation-request.ts'
import type { DelegationRequest } from './delegation-request.ts'
import { raiseForgedCredential } from './detect/forged-credential.ts'
import type { SeenCredential } from './detect/forged-credential.ts'
import { takeToldFinding } from './detect/told-finding.ts'
import type { ToldFinding } from './detect/told-finding.ts'
import { exchangeDelegated } from './exchange-chain.ts'
import type { DelegatedTokenRequest } from './exchange-chain.ts'
import { exchangeToken, exchangeUserToken } from './exchange-token.ts'
import type {
  AccessTokenRequest,
  MintedToken,
  TokenDependencies,
  TokenRequest,
  UserTokenRequest,
} from './exchange-token.ts'
import { publishedKeys } from './published-keys.ts'
import type { PublishedKeys } from './published-keys.ts'
import { issueCertificate } from './issue.ts'
import type { CertificateNames, IssueDependencies, IssuedCertificate } from './issue.ts'
import { completeEnrolment, examineEnrolment } from './join.ts'
import type { EnrolmentRefusal, EnrolRequest, ExaminedEnrolment } from './join.ts'
import type { IssuedWithState } from './join-state.ts'
import { createJoinString } from './join-string.ts'
import type { NewJoinString } from './join-string.ts'
import { FollowerInstances } from './follower-instances.ts'
import { forgetAuthority } from './forget.ts'
import type { KeySlots } from './key-slots.ts'
import { login } from './login.ts'
import type { LoginRequest, SignedIn } from './login.ts'
import { jwtSvidFor } from './mint-jwt-svid.ts'
import type { Instance, Registration } from './ports.ts'
import type { AuthorityRefusal } from './refusal.ts'
import { lockInstance, removeInstance } from './registration-instances.ts'
import type { InstanceTarget } from './registration-instances.ts'
import { findRegistrations, showRegistration } from './registration-search.ts'
import type { RegistrationDetail, RegistrationPage, RegistrationQuery } from './registration-search.ts'
import { addRegistration, ensureRegistration, removeRegistration, updateRegistration } from './registrations.ts'
import type {
  Addition,
  Change,
  NewRegistration,
  RegistrationContext,
  Removal,
  Removed,
  Replacement,
} from './registrations.ts'
import { renew } from './renew.ts'
import type { Renewed, RenewRequest } from './renew.ts'
import { ShownTokens } from './shown-tokens.ts'
import { statusOf } from './status.ts'
import type { AuthorityStatus } from './status.ts'
import type { TrustAck, TrustAudience } from './trust-audience.ts'
import type { Revocations } from './revocations.ts'
import type { PublishedState, TrustPublisher } from './trust-publisher.ts'

export interface AuthorityParts {
  readonly context: AuthorityContext
  readonly slots: KeySlots
  readonly publisher: TrustPublisher
  readonly audience: TrustAudience
  readonly ceremonies: Ceremonies
  readonly revocations: Revocations
  readonly issuer: string
  readonly allowedAudience: (audience: string) => boolean
  /** Audiences outside the trust domain for which JWT-SVIDs are given. */
  readonly outsideAudience: (audience: string) => boolean
  readonly rootFingerprint: string
  /** `host:port` of the enrolment listener as workloads reach it. */
  readonly enrolAddress: () => string
  /** Whether the recovery root lies where this authority finds it. */
  readonly rootAtHand: () => Promise<boolean>
  /** Milliseconds by which the store's clock is ahead of ours. */
  readonly storeAhead: () => number
}

export class Authority {
  readonly #parts: AuthorityParts
  readonly #instances: FollowerInstances
  readonly #shown = new ShownTokens()
  #keys: { readonly state: TrustState; readonly published: PublishedKeys } | null = null

  constructor(parts: AuthorityParts) {
    this.#parts = parts
    this.#instances = new FollowerInstances(parts.context.store.issuance)
  }

  get audience(): TrustAudience {
    return this.#parts.audience
  }

  get trustDomain(): TrustDomain {
    return this.#parts.context.trustDomain
  }

  /** Why nothing may be signed or changed now; null when it may. */
  unfit(): string | null {
    return this.#parts.context.unfit()
  }

  /** The newest signed state. */
  trustState(): PublishedState {
    return this.#parts.publisher.current()
  }

  /** Says that the newest state is the newest, as of now; null while a newer one is about to be published. */
  async heartbeat(scope: TrustScope): Promise<string | null> {
    return (await this.#parts.publisher.heartbeat(scope))?.text ?? null
  }

  /** JSON of the newest state: all of it for gateways, and for workloads with audiences that follow it; the callers' for others. */
  trustFor(id: string, scope: TrustScope): string {
    const { state, text, callers } = this.trustState()
    const { roles = [] } = state.workloads.find((workload) => workload.id === id) ?? {}
    return roles.includes(gatewayRole) || (scope === 'full' && roles.includes(calleeRole)) ? text : callers.text
  }

  /** A certificate for the authority itself, with these names; with those of the registration by default. */
  issueOwn(publicKey: Uint8Array, names?: CertificateNames): Promise<IssuedCertificate | AuthorityRefusal> {
    return issueCertificate(this.#issuing(), {
      ...(names === undefined ? {} : { names }),
      id: this.#parts.context.id.uri,
      publicKey,
      occasion: 'own',
      instance: null,
      predecessor: null,
    })
  }

  renew(request: RenewRequest): Promise<Renewed | AuthorityRefusal> {
    return renew(this.#issuing(), request)
  }

  examineEnrolment(request: EnrolRequest): Promise<ExaminedEnrolment | EnrolmentRefusal> {
    return examineEnrolment(this.#parts.context, request)
  }

  completeEnrolment(examined: ExaminedEnrolment): Promise<IssuedWithState | AuthorityRefusal> {
    return completeEnrolment(this.#issuing(), examined)
  }

  token(request: Omit<AccessTokenRequest, 'epoch'>): Promise<MintedToken | AuthorityRefusal> {
    return exchangeToken(this.#minting(), { ...request, epoch: this.trustState().state.epoch })
  }

  /** The same for a person who has signed in. */
  userToken(request: Omit<UserTokenRequest, 'epoch'>): Promise<MintedToken | AuthorityRefusal> {
    return exchangeUserToken(this.#minting(), { ...request, epoch: this.trustState().state.epoch })
  }

  /** A JWT-SVID, for workloads of the trust domain and for those outside that configuration names. */
  jwtSvid(request: Omit<TokenRequest, 'epoch'>): Promise<MintedToken | AuthorityRefusal> {
    const { context, slots, issuer, outsideAudience: outside } = this.#parts
    const { state } = this.trustState()
    const registered = (id: string) => state.workloads.some((workload) => workload.id === id)
    const deniedBefore = (id: string) => this.#deniedBefore(id)
    const dependencies = { context, slots, issuer, outside, registered, deniedBefore }
    return jwtSvidFor(dependencies, { ...request, epoch: state.epoch })
  }

  /** The same for whoever has called the workload. */
  delegatedToken(request: Omit<DelegatedTokenRequest, 'epoch'>): Promise<MintedToken | AuthorityRefusal> {
    return exchangeDelegated(this.#minting(), { ...request, epoch: this.trustState().state.epoch })
  }

  login(request: Omit<LoginRequest, 'epoch'>): Promise<SignedIn | AuthorityRefusal> {
    return login({ ...this.#minting(), shown: this.#shown }, { ...request, epoch: this.trustState().state.epoch })
  }

  /** With a single-use token where the registration lists join tokens, unless `withToken` says otherwise. */
  async createJoinString(id: string, by: string, withToken?: boolean): Promise<NewJoinString | AuthorityRefusal> {
    const { context, rootFingerprint, enrolAddress } = this.#parts
    const { digest: trustStateDigest, state } = this.trustState()
    const all = state.authorities.map(({ enrol }) => enrol)
    const place = { address: enrolAddress(), all, rootFingerprint, trustStateDigest }
    return createJoinString(context, { id, place, by, ...(withToken === undefined ? {} : { withToken }) })
  }

  findRegistrations(query: RegistrationQuery): Promise<RegistrationPage> {
    return findRegistrations(this.#parts.context, query)
  }

  showRegistration(id: string): Promise<RegistrationDetail | AuthorityRefusal> {
    return showRegistration(this.#parts.context, id)
  }

  addRegistration(addition: Addition, by: string): Promise<Registration | AuthorityRefusal> {
    return addRegistration(this.#registering(), addition, this.#change(by))
  }

  updateRegistration(replacement: Replacement, by: string): Promise<Registration | AuthorityRefusal> {
    return updateRegistration(this.#registering(), replacement, this.#change(by))
  }

  ensureRegistration(registration: NewRegistration, by: string): Promise<Registration | AuthorityRefusal> {
    return ensureRegistration(this.#registering(), registration, this.#change(by))
  }

  removeRegistration(removal: Removal, by: string): Promise<Removed | AuthorityRefusal> {
    return removeRegistration(this.#parts.context, removal, this.#change(by))
  }

  lockInstance(target: InstanceTarget, by: string): Promise<Instance | AuthorityRefusal> {
    return lockInstance(this.#parts.context, target, this.#change(by))
  }

  removeInstance(target: InstanceTarget, by: string): Promise<Instance | AuthorityRefusal> {
    return removeInstance(this.#parts.context, target, this.#change(by))
  }

  /** Somebody has shown a credential that nobody has issued; `source` has seen it, null for this authority. */
  sighted(seen: SeenCredential, source: string | null): Promise<void> {
    return raiseForgedCredential(this.#parts.context, seen, source)
  }

  /** A gateway has found something about an identity, or that it is over. */
  found(told: ToldFinding, source: string): Promise<void> {
    return takeToldFinding(this.#parts.context, told, source)
  }

  /** Which copy of a workload has the certificate of this fingerprint; empty where that is not known. */
  instanceOf(fingerprint: string): Promise<string> {
    return this.#instances.of(fingerprint)
  }

  acknowledge(ack: Omit<TrustAck, 'at'>): void {
    const at: EpochMillis = this.#parts.context.clock()
    this.#parts.audience.acknowledge({ ...ack, at })
  }

  status(): Promise<AuthorityStatus> {
    return statusOf(this.#parts)
  }

  get ceremonies(): Ceremonies {
    return this.#parts.ceremonies
  }

  get revocations(): Revocations {
    return this.#parts.revocations
  }

  /** The anchor that signs now; null while none can. */
  anchorKeyId(): string | null {
    const { slots, context } = this.#parts
    return slots.anchor(nowSeconds(context))?.slot.keyId ?? null
  }

  forget(name: string, by: string): Promise<{ readonly forgotten: string } | AuthorityRefusal> {
    return forgetAuthority(this.#parts.context, name, this.#change(by))
  }

  /** What the recovery root should sign now. */
  delegationRequest(): Promise<DelegationRequest | AuthorityRefusal> {
    return delegationRequest(this.#parts.context)
  }

  acceptDelegation(signed: SignedDelegation, by: string): Promise<Delegation | AuthorityRefusal> {
    return acceptDelegation(this.#parts.context, signed, by)
  }

  #issuing(): IssueDependencies {
    const { context, slots, publisher } = this.#parts
    return {
      context,
      slots,
      publish: () => publisher.publish(),
      deniedBefore: (id) => this.#deniedBefore(id),
    }
  }

  #minting(): TokenDependencies {
    const { context, slots, issuer, allowedAudience: isOurs } = this.#parts
    const audienceHolder = (audience: string) => context.store.registrations.audienceHolder(audience)
    const allowedAudience = async (audience: string) => isOurs(audience) || (await audienceHolder(audience)) !== null
    const deniedBefore = (id: string) => this.#deniedBefore(id)
    return { context, slots, issuer, allowedAudience, audienceHolder, deniedBefore, published: () => this.#published() }
  }

  #registering(): RegistrationContext {
    const { context, allowedAudience } = this.#parts
    return { ...context, isOwnAudience: allowedAudience }
  }

  /** Read anew with each state. */
  #published(): PublishedKeys {
    const { state } = this.trustState()
    if (this.#keys?.state !== state)
      this.#keys = { state, published: publishedKeys(state, this.#parts.context.importP256) }
    return this.#keys.published
  }

  #change(by: string): Change {
    return { by, publish: () => this.#parts.publisher.publish() }
  }

  #deniedBefore(id: string): number {
    return this.trustState().state.denied.identities.find((denied) => denied.id === id)?.issuedBefore ?? 0
  }
}
