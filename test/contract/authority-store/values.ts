/** Values for the contract of the authority's store, and what a store under test is. */

import { epochSeconds } from '@doorward/core'
import type { EpochMillis, P256Jwk } from '@doorward/core'
import type {
  AuthorityStore,
  Binding,
  Denial,
  IssuanceIntent,
  JoinToken,
  KeySlot,
  Registration,
} from '../../../packages/server/src/authority/ports.ts'

export interface StoreUnderTest {
  readonly store: AuthorityStore
  /** Another handle on the same store, as another process has one. */
  another(): Promise<AuthorityStore>
  /** Time as the callers of leases tell it. */
  now(): EpochMillis
  /** Lets time pass for what the store measures itself. */
  elapse(milliseconds: number): Promise<void>
  close(): Promise<void>
}

/** Declares one test of the contract on a store of its own. */
export type Rule = (sentence: string, run: (store: AuthorityStore, under: StoreUnderTest) => Promise<void>) => void

export const at = epochSeconds
export const a = 'spiffe://t/a'
export const b = 'spiffe://t/b'
export const c = 'spiffe://t/c'
export const roomy = { perIdentity: 100, total: 1000 }

/** A key of its own for each letter. */
export function jwkOf(letter: string): P256Jwk {
  return { kty: 'EC', crv: 'P-256', x: letter.repeat(43), y: 'Y'.repeat(43) }
}

export const domain = { trustDomain: 'test.example', root: jwkOf('R'), epoch: 1, foundedAt: at(5) }

export function registration(id: string, more: Partial<Registration> = {}): Registration {
  return {
    id,
    roles: ['reader'],
    ttlSeconds: 3600,
    dnsNames: [],
    ipAddresses: [],
    sharedNames: false,
    attestation: [{ kind: 'join_token' }],
    singleInstance: false,
    canary: false,
    audiences: [],
    createdAt: at(1),
    updatedAt: at(1),
    revision: 1,
    ...more,
  }
}

export function identityDenial(id: string, issuedBefore: number): Denial {
  const lapsesAt = at(issuedBefore + 100)
  return { kind: 'identity', value: id, issuedBefore: at(issuedBefore), lapsesAt, reason: 'test' }
}

export function serialDenial(serial: string, issuedBefore: number): Denial {
  return { kind: 'serial', value: serial, issuedBefore: at(issuedBefore), lapsesAt: at(9999), reason: 'test' }
}

export function token(hash: string, id: string, more: Partial<JoinToken> = {}): JoinToken {
  return { hash, id, createdAt: at(1), expiresAt: at(100), ...more }
}

export function binding(instance: string, letter: string, more: Partial<Binding> = {}): Binding {
  return {
    instance,
    machineKey: jwkOf(letter),
    attestedBy: 'join_token',
    now: at(50),
    limit: 10,
    reason: 'replaced',
    ...more,
  }
}

export function intent(serial: string, id: string, more: Partial<IssuanceIntent> = {}): IssuanceIntent {
  return {
    serial,
    id,
    anchorKeyId: 'anchor',
    authority: 'one',
    instance: null,
    predecessor: null,
    publicKeyHash: 'hash',
    notBefore: at(0),
    notAfter: at(3600),
    intendedAt: at(60),
    ...more,
  }
}

export function slot(keyId: string, more: Partial<KeySlot> = {}): KeySlot {
  return {
    purpose: 'token',
    keyId,
    keyName: `name-${keyId}`,
    authority: 'one',
    state: 'prepared',
    jwk: jwkOf('K'),
    certificate: null,
    notAfter: at(1000),
    preparedAt: at(1),
    publishedAt: null,
    activatedAt: null,
    retiredAt: null,
    epoch: 1,
    ceremony: null,
    reissue: false,
    ...more,
  }
}

/** Takes a serial the whole way. */
export async function issue(
  { issuance }: AuthorityStore,
  serial: string,
  id: string,
  more: Partial<IssuanceIntent> = {},
): Promise<void> {
  await issuance.intend(intent(serial, id, more), roomy)
  await issuance.commit(serial, `f${serial}`)
  await issuance.release(serial)
}

export async function deniedValues({ denials }: AuthorityStore, now = 70): Promise<readonly string[]> {
  return (await denials.list(at(now))).map(({ value }) => value)
}
