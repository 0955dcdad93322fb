/**
 * What the authority needs from a durable store. One verb is one transaction: when its promise resolves, the change
 * is durable; when it rejects, nothing of it is there. Verbs are safe for concurrent use, also by several
 * authorities on one database; what must happen once carries its own condition.
 *
 * No private key and no token in clear ever reaches these ports.
 */

import type {
  AuthorityPlace,
  EntryKind,
  EpochMillis,
  EpochSeconds,
  Issued,
  P256Jwk,
  RegisteredWorkload,
  SignKey,
  SlotState,
} from '@doorward/core'
import type { AttestationRule } from './attest/rule.ts'
import type { Ceremony, CeremonyStage } from './ceremony.ts'
import type { FrontStore } from './front/store.ts'

/** The trust domain as founded. Written once. */
export interface Domain {
  readonly trustDomain: string
  readonly root: P256Jwk
  /** Rises only in recovery (RV-6). */
  readonly epoch: number
  readonly foundedAt: EpochSeconds
}

export interface DomainStore {
  /** False when a domain is there already, which stays. */
  found(domain: Domain): Promise<boolean>
  read(): Promise<Domain | null>
}

/** One workload as the operator registered it: the only source of what its certificates say. */
export interface Registration {
  /** SPIFFE ID with a path. */
  readonly id: string
  readonly roles: readonly string[]
  readonly ttlSeconds: number
  /** Additional names in certificates, for clients that dial by name. */
  readonly dnsNames: readonly string[]
  readonly ipAddresses: readonly string[]
  /** Others may have its DNS names too, when they say the same. */
  readonly sharedNames: boolean
  /** How somebody proves to be this workload; any one of them suffices. */
  readonly attestation: readonly AttestationRule[]
  /** A new instance ends the earlier ones; two at once are an alarm (DT-2). */
  readonly singleInstance: boolean
  /** Nobody is meant to have it: issuing to it is an alarm (DT-5). */
  readonly canary: boolean
  /** For which tokens may be asked by whoever calls it. Who has some decides about callers, and follows the full trust state. */
  readonly audiences: readonly string[]
  readonly createdAt: EpochSeconds
  readonly updatedAt: EpochSeconds
  /** 1 at first, one more with every change: whoever changes it names the one that was seen. */
  readonly revision: number
}

export interface RegistrationRange {
  /** The id itself and whatever lies below it, by whole segments; null for all. */
  readonly under: string | null
  /** Ids that sort after this one; null from the first on. */
  readonly after: string | null
  readonly limit: number
}

export interface RegistrationStore {
  /**
   * `exists` leaves the registration that is there as it is; `removed` for an id that was removed before, unless it
   * comes `again` (SID-8); `name_taken` when another identity has one of its DNS names and not both share them;
   * `audience_taken` when another one has one of its audiences; `full` when `limit` are there.
   */
  add(
    registration: Registration,
    limit: number,
    again?: boolean,
  ): Promise<'added' | 'exists' | 'removed' | 'name_taken' | 'audience_taken' | 'full'>
  /**
   * Compare-and-swap: replaces everything but id and `createdAt` when `revision` is the one there, and raises it.
   * `several_instances` when it is to have a single one and has more. Where no join token suffices any more, unused
   * ones are withdrawn.
   */
  update(
    registration: Registration,
    revision: number,
  ): Promise<'updated' | 'unknown' | 'changed' | 'name_taken' | 'audience_taken' | 'several_instances'>
  find(id: string): Promise<Registration | null>
  /** Sorted by id, by the order of their bytes. */
  list(): Promise<readonly Registration[]>
  /** Ids that nobody is meant to have, sorted. */
  canaries(): Promise<readonly string[]>
  /** Those whose certificates are to live longer than that, sorted; the first `limit`. */
  longerThan(ttlSeconds: number, limit: number): Promise<readonly Pick<Registration, 'id' | 'ttlSeconds'>[]>
  /** A part of the list, in its order. */
  range(range: RegistrationRange): Promise<readonly Registration[]>
  /** Who keeps the registration from its DNS names: the first other identity that has one and does not share it; null when there is none. */
  holder(
    registration: Pick<Registration, 'id' | 'dnsNames' | 'sharedNames'>,
  ): Promise<{ readonly id: string; readonly name: string } | null>
  /** Whose audience it is, byte for byte; null when it is nobody's. */
  audienceHolder(audience: string): Promise<string | null>
  /** When the id was removed; null when it never was, or has been added again. */
  removedAt(id: string): Promise<EpochSeconds | null>
  /**
   * Removes registration, join tokens and instances, denies what was issued before, and remembers the id as removed:
   * all or nothing. False when there is none, or none at `revision` when that is given.
   */
  remove(id: string, denial: Denial, revision?: number): Promise<boolean>
}

export interface JoinToken {
  /** SHA-256 of the token, base64url. */
  readonly hash: string
  readonly id: string
  readonly createdAt: EpochSeconds
  readonly expiresAt: EpochSeconds
}

/** One copy of a workload: it has its own machine key and its own place in the sequence of join states (BS-2). */
export interface Instance {
  /** Random, lowercase hex; never reused. */
  readonly instance: string
  readonly id: string
  readonly machineKey: P256Jwk
  /** Kind of the attestation that bound the key. */
  readonly attestedBy: string
  readonly boundAt: EpochSeconds
  readonly seenAt: EpochSeconds
  /** Join states confirmed so far. */
  readonly sequence: number
  /** SHA-256 of the join state that it has confirmed, base64url; null before the first, `*` when it was forgotten. */
  readonly current: string | null
  /** The join state handed out and not confirmed yet, with the serial of the certificate that went with it. */
  readonly offered: { readonly hash: string; readonly serial: string } | null
  readonly locked: { readonly at: EpochSeconds; readonly reason: string } | null
}

/** A machine key to be bound as a new instance. */
export interface Binding {
  readonly instance: string
  readonly machineKey: P256Jwk
  readonly attestedBy: string
  readonly now: EpochSeconds
  /** Instances of one identity; a locked one makes room, or else the one unseen for longest. */
  readonly limit: number
  /** Why earlier instances end. */
  readonly reason: string
}

/**
 * Where the registration is for a single instance, a binding ends the earlier ones: their live serials are denied, and
 * they stay as locked, so that their return is seen.
 */
export interface Bound {
  readonly id: string
  /** The new instance, or the one that has the key already. */
  readonly instance: string
  /** Instances that ended with it. */
  readonly replaced: readonly string[]
}

/** `current` and `confirmed` may go on; `regressed` is a state from the past: the key was copied. */
export type Presentation = 'current' | 'confirmed' | 'regressed' | 'locked' | 'unknown'

export interface InstanceStore {
  /** Binds the key to the identity; `bound_elsewhere` when another instance or identity has it, null when it is not registered. */
  bind(id: string, binding: Binding): Promise<Bound | 'bound_elsewhere' | null>
  find(instance: string): Promise<Instance | null>
  findByKey(id: string, machineKey: P256Jwk): Promise<Instance | null>
  /** Oldest first. */
  list(id: string): Promise<readonly Instance[]>
  /**
   * Judges a join state against the sequence, and confirms the offer when it is the offered one. An instance that has
   * no state yet accepts null; every other mismatch is `regressed`. Locks nothing.
   */
  present(instance: string, hash: string | null, now: EpochSeconds): Promise<Presentation>
  /**
   * Hands out the next state with this certificate. An offer that was not confirmed is withdrawn: its serial is denied.
   * The number of the offer among all that the instance ever got, from 1; null when it is locked or gone.
   */
  offer(
    instance: string,
    offer: { readonly hash: string; readonly serial: string },
    now: EpochSeconds,
  ): Promise<number | null>
  /** Locks the instance and denies its live serials; false when it is locked or gone. */
  lock(instance: string, reason: string, now: EpochSeconds): Promise<boolean>
  remove(instance: string, reason: string, now: EpochSeconds): Promise<boolean>
  /**
   * After a copy of the store was put back, its join states are from the past: of every instance that is not locked, the next
   * one that it shows counts, whatever it is. Numbers of offers go on far above those given out before.
   */
  forgetStates(): Promise<void>
}

export interface Redemption {
  readonly hash: string
  /** Bound to the token's identity in the same transaction. */
  readonly binding: Binding
}

/** A proof that admits once, whoever shows it (RP-4). */
export interface OneTimeProof {
  /** SHA-256 of the proof, base64url. */
  readonly hash: string
  /** When nobody would accept it any more. */
  readonly expiresAt: EpochSeconds
}

export interface JoinStore {
  /** Keeps the token; `unregistered` when its identity is not registered, `full` when `limit` unused live tokens are there. */
  addToken(token: JoinToken, limit: number): Promise<'added' | 'unregistered' | 'full'>
  /** The token as it stands; null when unknown. Decides nothing: only `redeem` does. */
  findToken(hash: string): Promise<(JoinToken & { readonly usedAt: EpochSeconds | null }) | null>
  /** Unused live tokens of an identity, oldest first. */
  pending(id: string, now: EpochSeconds): Promise<readonly JoinToken[]>
  /** Forgets unused tokens, of everybody. */
  withdrawAll(): Promise<void>
  /** Consumes the token exactly once and binds the machine key. Among any number of concurrent callers one gets `redeemed`. */
  redeem(
    redemption: Redemption,
  ): Promise<
    | { readonly outcome: 'redeemed'; readonly bound: Bound }
    | { readonly outcome: 'unknown' | 'used' | 'expired' | 'bound_elsewhere' }
  >
  /**
   * Remembers the proof as used, exactly once among any number of concurrent callers, and binds the machine key: both
   * or nothing. `full` when `limit` proofs that are still good are remembered: none of them is forgotten (RP-5).
   */
  admit(
    id: string,
    admission: { readonly proof: OneTimeProof; readonly binding: Binding },
    limit: number,
  ): Promise<
    | { readonly outcome: 'admitted'; readonly bound: Bound }
    | { readonly outcome: 'used' | 'full' | 'unregistered' | 'bound_elsewhere' }
  >
}

/** What is about to be signed. */
export interface IssuanceIntent {
  /** Lowercase hex; never reused. */
  readonly serial: string
  readonly id: string
  readonly anchorKeyId: string
  /** Which authority intends it: start-up voids only its own. */
  readonly authority: string
  /** Null for certificates that the authority issues to itself. */
  readonly instance: string | null
  /** Serial of the certificate that it renews. */
  readonly predecessor: string | null
  /** SHA-256 of the public key, base64url. */
  readonly publicKeyHash: string
  readonly notBefore: EpochSeconds
  readonly notAfter: EpochSeconds
  readonly intendedAt: EpochSeconds
}

export interface IssuanceLimits {
  /** Live certificates of one identity. */
  readonly perIdentity: number
  /** Live certificates of all identities; a trust state can hold no more. */
  readonly total: number
}

/** A certificate as the store knows it. */
export interface IssuedCertificateRow extends IssuanceIntent {
  readonly fingerprint: string | null
  readonly state: 'intended' | 'signed' | 'released' | 'void'
}

/** What an instance shows when its next certificate is intended: the hash of its join state, null for none. */
export interface ShownState {
  readonly hash: string | null
}

/** The join state that goes out with a certificate. */
export interface NextState {
  readonly instance: string
  /** SHA-256 of the join state, base64url. */
  readonly hash: string
}

export type Intended =
  | 'intended'
  | 'unregistered'
  | 'denied'
  | 'serial_taken'
  | 'full'
  | Exclude<Presentation, 'current' | 'confirmed'>

/** A serial's way: intended → signed → released, or void from either of the first two. */
export interface IssuanceStore {
  /**
   * `unregistered` when the identity is no longer registered, `denied` when it, its instance, the certificate that is
   * renewed or the anchor is denied, `serial_taken` when the serial was used before, `full` beyond a limit. What the
   * instance of the intent has `shown` is judged first, as `InstanceStore.present` does: with anything that may not go on,
   * nothing is intended.
   */
  intend(intent: IssuanceIntent, limits: IssuanceLimits, shown?: ShownState): Promise<Intended>
  /** intended → signed; false when the intent was voided, its identity removed, or any of it denied. */
  commit(serial: string, fingerprint: string): Promise<boolean>
  /** signed → released: it enters the mirror. False when it was voided, its identity removed, or any of it denied. */
  release(serial: string): Promise<boolean>
  /**
   * Releases, and hands out the next join state with the certificate, as `InstanceStore.offer` does: the number of the
   * offer. `locked` when the instance is locked or gone, `void` where `release` says false; then nothing has changed.
   */
  handOut(serial: string, next: NextState, now: EpochSeconds): Promise<number | 'locked' | 'void'>
  /** Ends a serial that was not released, and denies it. False when it was released or voided before. */
  void(serial: string, at: EpochSeconds): Promise<boolean>
  /** Serials of the authority that were neither released nor voided. */
  open(authority: string): Promise<readonly IssuanceIntent[]>
  findByFingerprint(fingerprint: string): Promise<IssuedCertificateRow | null>
  findBySerial(serial: string): Promise<IssuedCertificateRow | null>
  /** Released and not expired, of one identity or of all; oldest first. */
  live(now: EpochSeconds, id?: string): Promise<readonly IssuedCertificateRow[]>
  /** Live ones past three quarters of their life, of which the same identity and instance has none that is newer; the first `limit`, by expiry. */
  late(now: EpochSeconds, limit: number): Promise<readonly IssuedCertificateRow[]>
}

/** A key of one purpose signs nothing else (JW-8). */
export type SlotPurpose = 'anchor' | 'token' | 'jwt-svid'

/** One key's place in the rotation. */
export interface KeySlot {
  readonly purpose: SlotPurpose
  /** Name of the private part in custody. */
  readonly keyName: string
  readonly keyId: string
  readonly authority: string
  readonly state: SlotState
  readonly jwk: P256Jwk
  /** DER of the self-signed certificate of an anchor; null for other keys. */
  readonly certificate: Uint8Array | null
  /** When the key stops to sign. */
  readonly notAfter: EpochSeconds
  readonly preparedAt: EpochSeconds
  readonly publishedAt: EpochSeconds | null
  readonly activatedAt: EpochSeconds | null
  readonly retiredAt: EpochSeconds | null
  /** What it signs is of this epoch (RV-6). */
  readonly epoch: number
  /** The ceremony that asked for it; null for the schedule. */
  readonly ceremony: string | null
  /** What it has signed is to be replaced now. */
  readonly reissue: boolean
}

export interface KeySlotStore {
  /** False when the key id is there already. */
  prepare(slot: KeySlot): Promise<boolean>
  /** prepared → published; false from any other state. */
  publish(keyId: string, at: EpochSeconds): Promise<boolean>
  /** published → active, and the slot of the same purpose and authority that was active → retired. False from any other state. */
  activate(keyId: string, at: EpochSeconds): Promise<boolean>
  /** Marks what the keys have signed as to be replaced now. */
  reissue(keyIds: readonly string[]): Promise<void>
  /** Removes a slot; false for an active one. */
  remove(keyId: string): Promise<boolean>
  /** Oldest first. */
  list(): Promise<readonly KeySlot[]>
}

export interface Denial {
  readonly kind: 'identity' | 'serial' | 'token' | 'authority'
  /** SPIFFE ID, serial, `jti`, or key id. */
  readonly value: string
  /** Identities: what was issued before is refused. Other kinds: the moment of the denial. */
  readonly issuedBefore: EpochSeconds
  /** When nothing that it refuses can be alive any more. */
  readonly lapsesAt: EpochSeconds
  readonly reason: string
}

export interface DenialStore {
  /** Of two denials of one identity the later moment counts; a denial is never shortened. */
  deny(denial: Denial): Promise<void>
  /** Those that have not lapsed. */
  list(now: EpochSeconds): Promise<readonly Denial[]>
  /** Denies all of them and raises the epoch to at least `epoch`: all or nothing (RV-6). */
  denyInEpoch(denials: readonly Denial[], epoch: number): Promise<void>
}

/** A certificate that lives, or may live, and is refused: singly or with all of its identity. */
export interface DeniedCertificate {
  readonly serial: string
  /** Null for a serial that was not issued here. */
  readonly anchorKeyId: string | null
  readonly deniedAt: EpochSeconds
}

/** What one denial has led to. */
export interface Revoked {
  /** All that is denied by it, itself included; empty when nothing of it lives. */
  readonly denials: readonly Denial[]
  /** Instances that were locked. */
  readonly locked: readonly string[]
}

/** Denials with what follows from them: all or nothing. */
export interface RevocationStore {
  /**
   * Denies, and with a serial every renewal of it (RV-5); a serial that nobody knows is denied alone. With an identity,
   * machine keys that were bound before its moment are locked with all that they have, and its unused join tokens withdrawn.
   */
  revoke(denial: Denial, now: EpochSeconds): Promise<Revoked>
  /** The moment before which credentials of the identity are denied; null when it is not. */
  issuedBefore(id: string): Promise<EpochSeconds | null>
  /** What revocation lists have to name, by serial. */
  certificates(now: EpochSeconds): Promise<readonly DeniedCertificate[]>
  /** Forgets denials that lapsed before. */
  prune(before: EpochSeconds): Promise<void>
}

/** Everything that goes into a trust state, read in one transaction. */
export interface TrustMaterial {
  readonly epoch: number
  /** Authorities whose lease has not ended for longer than `placesMilliseconds`. */
  readonly authorities: readonly AuthorityPlace[]
  readonly slots: readonly KeySlot[]
  readonly denials: readonly Denial[]
  /** All; null when they are those of the reading that this one goes on from. */
  readonly workloads: readonly RegisteredWorkload[] | null
  /** All that live; of a reading that goes on from another one at least what was released after that. */
  readonly issued: readonly Issued[]
  readonly mark: TrustMark
}

/** Names one reading, for a later one of the same handle to go on from. */
export interface TrustMark {
  readonly released: string
  readonly registry: number
}

export interface StoredDelegation {
  readonly version: number
  readonly expiresAt: EpochSeconds
  /** JSON of the signed delegation. */
  readonly message: string
}

export interface StoredTrustState {
  readonly delegation: number
  readonly sequence: number
  /** JSON of the signed full state. */
  readonly message: string
  /** JSON of the signed anchors alone. */
  readonly anchors: string
  /** The newest state for callers: it stays while nothing changes that they see. */
  readonly callers: { readonly sequence: number; readonly message: string }
}

export interface TrustStateStore {
  /** `since`: the mark of an earlier reading, from which this one goes on. */
  material(now: EpochSeconds, since?: TrustMark): Promise<TrustMaterial>
  newest(): Promise<StoredTrustState | null>
  newestVersion(): Promise<{ readonly delegation: number; readonly sequence: number } | null>
  /** Compare-and-swap: appends when the newest sequence is still `after` (0 before the first); else false. */
  append(state: StoredTrustState, after: number): Promise<boolean>
  newestDelegation(): Promise<StoredDelegation | null>
  /** Compare-and-swap on the version: appends when the newest version is `delegation.version − 1`; else false. */
  delegate(delegation: StoredDelegation): Promise<boolean>
}

/** A running authority among those on one store. */
export interface AuthorityEntry {
  readonly instance: string
  /** Its name in configuration; unique. */
  readonly name: string
  /** Rises with every process that takes the lease. */
  readonly fence: number
  readonly place: AuthorityPlace | null
  /** Its key for trust state: what the recovery root is asked to delegate to. */
  readonly trustKey: P256Jwk | null
  /** Every one that it holds: a delegation that names any of them names this authority. */
  readonly trustKeys: readonly P256Jwk[]
  readonly log: { readonly origin: string; readonly verifierKey: string } | null
  /** Release of the program. */
  readonly program: string
  readonly startedAt: EpochMillis
  /** By the store's clock. */
  readonly seenAt: EpochMillis
  readonly live: boolean
}

export interface LeaseRequest {
  readonly instance: string
  readonly name: string
  /** Where it runs: machine and folder. An earlier process of the same home is gone, because the folder is locked. */
  readonly home: string
  /** Random name of this process. */
  readonly holder: string
  readonly program: string
  /** Time by this authority's clock; stores that have a clock of their own go by that. */
  readonly now: EpochMillis
}

/**
 * Who may act as which authority. After `take`, every verb of this store that writes checks, in its own transaction,
 * that the lease is still held, and rejects with `lease_lost` when somebody else has taken it.
 */
export interface LeaseStore {
  /** `held` while a process of another home has renewed within the lease; `name_taken` when another authority has the name. */
  take(
    request: LeaseRequest,
  ): Promise<
    | { readonly outcome: 'taken'; readonly fence: number; readonly storeTime: EpochMillis }
    | { readonly outcome: 'held'; readonly remainingMilliseconds: number }
    | { readonly outcome: 'name_taken' }
  >
  /** Says that this process lives, and where; null when the lease is lost. The store's time with it. */
  renew(
    now: EpochMillis,
    entry: Pick<AuthorityEntry, 'place' | 'trustKey' | 'trustKeys' | 'log'>,
  ): Promise<{ readonly storeTime: EpochMillis } | null>
  /** Gives the lease up, so that a next start need not wait. */
  release(): Promise<void>
  /** Oldest first. */
  list(now: EpochMillis): Promise<readonly AuthorityEntry[]>
  /** Forgets an authority that will not come back; false for a live one. */
  forget(name: string, now: EpochMillis): Promise<boolean>
}

export interface StoredAck {
  readonly id: string
  /** Which copy of the workload; empty where that is not known. */
  readonly instance: string
  readonly scope: 'full' | 'callers'
  readonly delegation: number
  readonly sequence: number
  readonly at: EpochMillis
  /** Name of the authority that the receiver follows. */
  readonly authority: string
}

/** What receivers of trust state have applied, as all authorities together know it. */
export interface AckStore {
  /** Of two for one instance and scope the later version counts, and the later moment, whichever brings it. */
  put(acks: readonly StoredAck[]): Promise<void>
  list(): Promise<readonly StoredAck[]>
  /** Forgets those that were not heard of since. */
  prune(before: EpochMillis): Promise<void>
}

export interface CeremonyStore {
  /** False while one is open. */
  open(ceremony: Ceremony): Promise<boolean>
  /** The newest one, open or done. */
  newest(): Promise<Ceremony | null>
  /** Compare-and-swap on the stage. */
  advance(id: string, from: CeremonyStage, ceremony: Ceremony): Promise<boolean>
  /** What one authority adds to a ceremony: its new key for trust state. Once per authority. */
  contribute(id: string, authority: string, trustKey: P256Jwk): Promise<void>
  contributions(id: string): Promise<readonly { readonly authority: string; readonly trustKey: P256Jwk }[]>
}

export interface Alarm {
  /** `DT-1` … `DT-8`, or the code of a misconfiguration. */
  readonly detector: string
  /** What it is about: a SPIFFE ID, serial, key id or setting. */
  readonly subject: string
  readonly detail: string
  readonly firstAt: EpochMillis
  readonly lastAt: EpochMillis
  readonly count: number
  /** Who raised it: the name of an authority, or a gateway's id. */
  readonly source: string
}

export interface AlarmStore {
  /** Of one detector and subject there is one alarm, counted. At most `limit` are kept; the oldest goes. True when it is new. */
  raise(alarm: Omit<Alarm, 'firstAt' | 'count'>, limit: number): Promise<boolean>
  /** Newest first. */
  list(): Promise<readonly Alarm[]>
}

export interface StoredCrl {
  /** Key id of the anchor. */
  readonly keyId: string
  readonly number: number
  readonly thisUpdate: EpochSeconds
  readonly nextUpdate: EpochSeconds
  readonly der: Uint8Array
}

export interface CrlStore {
  /** Replaces one of a lower number; false when the one there is as new. */
  put(crl: StoredCrl): Promise<boolean>
  list(): Promise<readonly StoredCrl[]>
  remove(keyId: string): Promise<void>
}

export interface AuthorityStore {
  readonly domain: DomainStore
  readonly registrations: RegistrationStore
  readonly joins: JoinStore
  readonly issuance: IssuanceStore
  readonly slots: KeySlotStore
  readonly denials: DenialStore
  readonly revocations: RevocationStore
  readonly trust: TrustStateStore
  readonly instances: InstanceStore
  readonly leases: LeaseStore
  readonly acks: AckStore
  readonly ceremonies: CeremonyStore
  readonly alarms: AlarmStore
  readonly crls: CrlStore
  readonly front: FrontStore
}

/** A P-256 key in custody. */
export interface CustodyKey extends SignKey {
  readonly jwk: P256Jwk
  /** DER SubjectPublicKeyInfo. */
  readonly publicKey: Uint8Array
}

/** Where private keys are kept. A key is durable when `create` resolves. */
export interface Custody {
  /** A name is given once. */
  create(name: string): Promise<CustodyKey>
  /** Throws `key_missing`. */
  need(name: string): Promise<CustodyKey>
  destroy(name: string): Promise<void>
  names(): Promise<readonly string[]>
}

/** The log of this authority. `append` resolves when the entry is durable; a rejection means that what it records must not happen. */
export interface AuthorityRecord {
  /** `patient` when nobody waits for it. */
  append(entry: { readonly kind: EntryKind; readonly body: object; readonly patient?: boolean }): Promise<unknown>
}
