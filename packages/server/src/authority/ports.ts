/**
 * What the authority needs from a durable store. One verb is one transaction: when its promise resolves, the change
 * is durable; when it rejects, nothing of it is there. Verbs are safe for concurrent use, also by several
 * authorities on one database; what must happen once carries its own condition.
 *
 * No private key and no token in clear ever reaches these ports.
 */

import type { EntryKind, EpochSeconds, Issued, P256Jwk, RegisteredWorkload, SignKey, SlotState } from '@doorward/core'

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
  readonly createdAt: EpochSeconds
}

export interface RegistrationStore {
  /** `exists` leaves the registration that is there as it is; `full` when `limit` are there. */
  add(registration: Registration, limit: number): Promise<'added' | 'exists' | 'full'>
  /** Replaces roles, lifetime and names; false when there is no such registration. */
  update(registration: Registration): Promise<boolean>
  find(id: string): Promise<Registration | null>
  /** Sorted by id. */
  list(): Promise<readonly Registration[]>
  /** Removes registration, join tokens and machine key, and denies what was issued before: all or nothing. False when there is none. */
  remove(id: string, denial: Denial): Promise<boolean>
}

export interface JoinToken {
  /** SHA-256 of the token, base64url. */
  readonly hash: string
  readonly id: string
  readonly createdAt: EpochSeconds
  readonly expiresAt: EpochSeconds
}

export interface MachineKey {
  readonly id: string
  readonly jwk: P256Jwk
  readonly boundAt: EpochSeconds
}

export interface Redemption {
  readonly hash: string
  /** Bound to the identity in the same transaction, replacing an earlier one. */
  readonly machineKey: P256Jwk
  readonly now: EpochSeconds
}

export interface JoinStore {
  /** Keeps the token; `unregistered` when its identity is not registered, `full` when `limit` unused live tokens are there. */
  addToken(token: JoinToken, limit: number): Promise<'added' | 'unregistered' | 'full'>
  /** The token as it stands; null when unknown. Decides nothing: only `redeem` does. */
  findToken(hash: string): Promise<(JoinToken & { readonly usedAt: EpochSeconds | null }) | null>
  /** Consumes the token exactly once and binds the machine key. Among any number of concurrent callers one gets `redeemed`. */
  redeem(
    redemption: Redemption,
  ): Promise<
    { readonly outcome: 'redeemed'; readonly id: string } | { readonly outcome: 'unknown' | 'used' | 'expired' }
  >
  findMachineKey(id: string): Promise<MachineKey | null>
}

/** What is about to be signed. */
export interface IssuanceIntent {
  /** Lowercase hex; never reused. */
  readonly serial: string
  readonly id: string
  readonly anchorKeyId: string
  /** Which authority intends it: start-up voids only its own. */
  readonly authority: string
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

/** A serial's way: intended → signed → released, or void from either of the first two. */
export interface IssuanceStore {
  /** `unregistered` when the identity is no longer registered, `serial_taken` when the serial was used before, `full` beyond a limit. */
  intend(intent: IssuanceIntent, limits: IssuanceLimits): Promise<'intended' | 'unregistered' | 'serial_taken' | 'full'>
  /** intended → signed; false when the intent was voided or its identity removed. */
  commit(serial: string, fingerprint: string): Promise<boolean>
  /** signed → released: it enters the mirror. False when it was voided or its identity removed. */
  release(serial: string): Promise<boolean>
  /** Ends a serial that was not released, and denies it. False when it was released or voided before. */
  void(serial: string, at: EpochSeconds): Promise<boolean>
  /** Serials of the authority that were neither released nor voided. */
  open(authority: string): Promise<readonly IssuanceIntent[]>
}

export type SlotPurpose = 'anchor' | 'token'

/** One key's place in the rotation. */
export interface KeySlot {
  readonly purpose: SlotPurpose
  /** Name of the private part in custody. */
  readonly keyName: string
  readonly keyId: string
  readonly authority: string
  readonly state: SlotState
  readonly jwk: P256Jwk
  /** DER of the self-signed certificate; null for token keys. */
  readonly certificate: Uint8Array | null
  /** When the key stops to sign. */
  readonly notAfter: EpochSeconds
  readonly preparedAt: EpochSeconds
  readonly publishedAt: EpochSeconds | null
  readonly activatedAt: EpochSeconds | null
  readonly retiredAt: EpochSeconds | null
}

export interface KeySlotStore {
  /** False when the key id is there already. */
  prepare(slot: KeySlot): Promise<boolean>
  /** prepared → published; false from any other state. */
  publish(keyId: string, at: EpochSeconds): Promise<boolean>
  /** published → active, and the slot of the same purpose and authority that was active → retired. False from any other state. */
  activate(keyId: string, at: EpochSeconds): Promise<boolean>
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
}

/** Everything that goes into a trust state, read in one transaction. */
export interface TrustMaterial {
  readonly epoch: number
  readonly slots: readonly KeySlot[]
  readonly workloads: readonly RegisteredWorkload[]
  readonly issued: readonly Issued[]
  readonly denials: readonly Denial[]
}

export interface StoredDelegation {
  readonly version: number
  /** Name of the delegated key in custody. */
  readonly keyName: string
  readonly expiresAt: EpochSeconds
  /** JSON of the signed delegation. */
  readonly message: string
}

export interface StoredTrustState {
  readonly delegation: number
  readonly sequence: number
  /** JSON of the signed state. */
  readonly message: string
}

export interface TrustStateStore {
  material(now: EpochSeconds): Promise<TrustMaterial>
  newest(): Promise<StoredTrustState | null>
  /** Compare-and-swap: appends when the newest sequence is still `after` (0 before the first); else false. */
  append(state: StoredTrustState, after: number): Promise<boolean>
  newestDelegation(): Promise<StoredDelegation | null>
  /** Compare-and-swap on the version: appends when the newest version is `delegation.version − 1`; else false. */
  delegate(delegation: StoredDelegation): Promise<boolean>
}

export interface AuthorityStore {
  readonly domain: DomainStore
  readonly registrations: RegistrationStore
  readonly joins: JoinStore
  readonly issuance: IssuanceStore
  readonly slots: KeySlotStore
  readonly denials: DenialStore
  readonly trust: TrustStateStore
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
  append(entry: { readonly kind: EntryKind; readonly body: object }): Promise<unknown>
}
