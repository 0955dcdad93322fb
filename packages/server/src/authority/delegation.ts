/** The delegation under which trust state is signed: by the recovery root, to one key of every authority (reference id CA-4). */

import {
  DoorwardError,
  epochSeconds,
  hex,
  isDoorwardError,
  jwkThumbprint,
  MAX_DELEGATED_KEYS,
  openDelegation,
  signDelegation,
} from '@doorward/core'
import type { Delegation, OpenedDelegation, P256Jwk, SignedDelegation, SignKey } from '@doorward/core'
import { isOpen } from './ceremony.ts'
import { nowSeconds } from './context.ts'
import type { AuthorityContext } from './context.ts'
import type { AuthorityEntry, CustodyKey, StoredDelegation } from './ports.ts'

export const delegationSeconds = 30 * 86_400
/** Renewed when less than a third is left. */
const renewSeconds = delegationSeconds / 3

/** The recovery root while it is on this machine. */
export interface RootAtHand {
  readonly jwk: P256Jwk
  readonly key: SignKey
  /** Tells the other authorities of all keys that we have. */
  readonly tellKeys: () => Promise<unknown>
}

export interface HeldDelegation {
  readonly stored: StoredDelegation
  readonly signed: SignedDelegation
  readonly delegation: Delegation
  /** Our trust-state key; null while the delegation does not name one of ours. */
  readonly key: CustodyKey | null
  /** The delegation should be renewed and the root is not at hand. */
  readonly due: boolean
}

const KEY_PREFIX = 'trust-state-'

/**
 * The newest delegation, renewed when that is due and possible. Throws `delegation_expired` when the last one has ended
 * and the root is not at hand, `root_other` when the root is not the one that everyone has pinned, `delegation_invalid`
 * when the store holds one that the root has not signed.
 */
export async function holdDelegation(context: AuthorityContext, root: RootAtHand | null): Promise<HeldDelegation> {
  const stored = await context.store.trust.newestDelegation()
  const left = stored === null ? 0 : stored.expiresAt - nowSeconds(context)
  const held = stored === null || left <= 0 ? null : await openStored(context, stored)
  if (root !== null && (held === null || ((held.key === null || left < renewSeconds) && (await mayRenew(context)))))
    return delegate(context, root, held ?? (stored === null ? null : { stored, delegation: null }))
  if (held === null) {
    throw new DoorwardError('delegation_expired', 'no delegation to sign trust state is in force', {
      next: 'bring the recovery root back to its place and start again',
    })
  }
  return { ...held, due: left < renewSeconds }
}

/** What is at hand by chance decides nothing while a recovery decides, nor for whom a recovery has shut out. */
async function mayRenew({ store, instance }: AuthorityContext): Promise<boolean> {
  const newest = await store.ceremonies.newest()
  if (newest === null) return true
  const deciding = newest.kind === 'recover' && isOpen(newest)
  return !deciding && !newest.excluded.some((one) => one.instance === instance)
}

async function openStored(context: AuthorityContext, stored: StoredDelegation): Promise<Omit<HeldDelegation, 'due'>> {
  const signed = JSON.parse(stored.message) as SignedDelegation
  const { delegation } = await checkDelegation(context, signed)
  return { stored, signed, delegation, key: await ownKey(context, delegation) }
}

/** Judges a signed delegation as every receiver would. Throws `delegation_invalid`. */
export async function checkDelegation(context: AuthorityContext, signed: SignedDelegation): Promise<OpenedDelegation> {
  const { store, trustDomain, importP256, sha256 } = context
  const domain = await store.domain.read()
  const root = domain?.root ?? signed.root
  const opened = openDelegation(signed, {
    rootFingerprint: jwkThumbprint(root, sha256),
    trustDomain,
    now: nowSeconds(context),
    importP256,
    sha256,
  })
  if (!('code' in opened)) return opened
  throw new DoorwardError('delegation_invalid', 'the delegation is not one that everybody would accept', {
    expected: 'a delegation signed by the recovery root of this trust domain',
    got: `${opened.code}: ${opened.message}`,
    next: 'sign it with the recovery root again',
  })
}

/** Which of our keys the delegation names; null for none. */
async function ownKey({ custody }: AuthorityContext, { keys }: Pick<Delegation, 'keys'>): Promise<CustodyKey | null> {
  for (const key of (await trustKeys(custody)).values()) if (keys.some((jwk) => sameKey(jwk, key.jwk))) return key
  return null
}

/** The key that the next delegation should name for us: the newest that we have, made when there is none. */
export async function candidateKey(context: AuthorityContext): Promise<CustodyKey> {
  const newest = [...(await trustKeys(context.custody)).values()].at(-1)
  return newest ?? newTrustKey(context)
}

/** Names sort by the time at which the keys were made. */
export async function newTrustKey({ custody, clock, random }: AuthorityContext): Promise<CustodyKey> {
  return custody.create(`${KEY_PREFIX}${String(clock()).padStart(15, '0')}-${hex(random(4))}`)
}

/**
 * Destroys our trust-state keys that the delegation in force does not name and that no open ceremony waits for. Without
 * any that is named nothing is destroyed: the next delegation may name one of them.
 */
export async function forgetTrustKeys(context: AuthorityContext, { keys }: Pick<Delegation, 'keys'>): Promise<void> {
  const { custody, instance } = context
  const contributed = (await openContributions(context)).filter(({ authority }) => authority === instance)
  const needed = [...keys, ...contributed.map(({ trustKey }) => trustKey)]
  const held = await trustKeys(custody)
  if (![...held.values()].some(({ jwk }) => keys.some((key) => sameKey(key, jwk)))) return
  for (const [name, { jwk }] of held) if (!needed.some((key) => sameKey(key, jwk))) await custody.destroy(name)
}

type Contributions = Awaited<ReturnType<AuthorityContext['store']['ceremonies']['contributions']>>

async function openContributions({ store }: AuthorityContext): Promise<Contributions> {
  const newest = await store.ceremonies.newest()
  return newest === null || !isOpen(newest) ? [] : store.ceremonies.contributions(newest.id)
}

/**
 * Which authorities a delegation names: those that hold one of its keys, and have said so before anybody could name it. The
 * names are of the same authorities.
 */
export async function namedAuthorities(
  context: AuthorityContext,
  { keys }: Pick<Delegation, 'keys'>,
): Promise<{ readonly instances: ReadonlySet<string>; readonly names: ReadonlySet<string> }> {
  const { store, clock, instance } = context
  const isNamed = (jwk: P256Jwk) => keys.some((key) => sameKey(key, jwk))
  const entries = await store.leases.list(clock())
  const using = entries.filter((entry) => entry.instance === instance || keysOf(entry).some(isNamed))
  const coming =
    using.length === entries.length ? [] : (await openContributions(context)).filter((one) => isNamed(one.trustKey))
  const instances = new Set([instance, ...using.map((one) => one.instance), ...coming.map((one) => one.authority)])
  const names = entries.filter((entry) => instances.has(entry.instance)).map(({ name }) => name)
  return { instances, names: new Set(names) }
}

/** Those that others know of; what it uses may be all that an earlier release has said. */
export function keysOf({
  trustKey,
  trustKeys: all,
}: Pick<AuthorityEntry, 'trustKey' | 'trustKeys'>): readonly P256Jwk[] {
  return trustKey === null ? all : [trustKey, ...all]
}

/** What the others are told of our keys: the one in use, or the one that the next delegation should name, and all of them. */
export async function toldKeys(
  context: AuthorityContext,
  inUse: CustodyKey | null,
): Promise<Pick<AuthorityEntry, 'trustKey' | 'trustKeys'>> {
  const { jwk: trustKey } = inUse ?? (await candidateKey(context))
  const all = await trustKeys(context.custody)
  return { trustKey, trustKeys: Array.from(all.values(), ({ jwk }) => jwk) }
}

/** By name, the oldest first. One that is forgotten while it is looked for is not among them. */
async function trustKeys(custody: AuthorityContext['custody']): Promise<ReadonlyMap<string, CustodyKey>> {
  const names = (await custody.names()).filter((name) => name.startsWith(KEY_PREFIX)).toSorted()
  const held = new Map<string, CustodyKey>()
  for (const name of names) {
    const key = await custody.need(name).catch((error: unknown) => {
      if (isDoorwardError(error, 'key_missing')) return null
      throw error
    })
    if (key !== null) held.set(name, key)
  }
  return held
}

export function sameKey(a: P256Jwk, b: P256Jwk): boolean {
  return a.x === b.x && a.y === b.y
}

/**
 * Key first, then the delegation that names it, then the old key goes; a crash leaves a key too many, never one too few. The others
 * know of the key before it is named: under the new delegation they would take our anchors out of the trust state otherwise.
 */
async function delegate(
  context: AuthorityContext,
  root: RootAtHand,
  before: (Pick<HeldDelegation, 'stored'> & { readonly delegation: Delegation | null }) | null,
): Promise<HeldDelegation> {
  const { trustDomain } = context
  await checkRoot(context, root)
  const key = await newTrustKey(context)
  await root.tellKeys()
  const issuedAt = nowSeconds(context)
  const delegation: Delegation = {
    trustDomain,
    version: (before?.stored.version ?? 0) + 1,
    keys: [key.jwk, ...(await keysOfOthers(context, before?.delegation ?? null))].slice(0, MAX_DELEGATED_KEYS),
    issuedAt,
    expiresAt: epochSeconds(issuedAt + delegationSeconds),
  }
  const stored = await storeDelegation(context, await signDelegation(delegation, root.key, root.jwk))
  await forgetTrustKeys(context, delegation)
  return { stored: stored.stored, signed: stored.signed, delegation, key, due: false }
}

/** Keys of other authorities that the root had delegated to before and that are not forgotten: none is added unseen. */
async function keysOfOthers(
  { store, instance, clock }: AuthorityContext,
  before: Delegation | null,
): Promise<readonly P256Jwk[]> {
  const others = (await store.leases.list(clock())).filter((entry) => entry.instance !== instance)
  return (before?.keys ?? []).filter((jwk) => others.some((entry) => keysOf(entry).some((key) => sameKey(key, jwk))))
}

/** Puts a delegation that the root has signed into force. Throws `delegation_invalid`, `delegation_raced`. */
export async function storeDelegation(
  context: AuthorityContext,
  signed: SignedDelegation,
): Promise<Pick<HeldDelegation, 'stored' | 'signed' | 'delegation'>> {
  const { delegation } = await checkDelegation(context, signed)
  const { version, expiresAt, keys } = delegation
  await context.log.append({
    kind: 'trust',
    // All of it, so that a store that was put back can have it again.
    body: { change: 'delegation', version, keys: keys.length, expires_at: expiresAt, signed },
  })
  const stored = { version, expiresAt, message: JSON.stringify(signed) }
  if (!(await context.store.trust.delegate(stored))) {
    throw new DoorwardError('delegation_raced', 'another delegation has come in between', { next: 'start again' })
  }
  return { stored, signed, delegation }
}

async function checkRoot({ store }: AuthorityContext, { jwk }: RootAtHand): Promise<void> {
  const domain = await store.domain.read()
  if (domain === null || sameKey(domain.root, jwk)) return
  throw new DoorwardError('root_other', 'the recovery root is not the one of this trust domain', {
    next: 'put the right recovery root in its place; the one there has not been used',
  })
}
