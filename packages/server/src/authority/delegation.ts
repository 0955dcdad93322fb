/** The delegation under which trust state is signed: by the recovery root, to one key of every authority (reference id CA-4). */

import {
  DoorwardError,
  epochSeconds,
  hex,
  jwkThumbprint,
  MAX_DELEGATED_KEYS,
  openDelegation,
  signDelegation,
} from '@doorward/core'
import type { Delegation, OpenedDelegation, P256Jwk, SignedDelegation, SignKey } from '@doorward/core'
import { nowSeconds } from './context.ts'
import type { AuthorityContext } from './context.ts'
import type { CustodyKey, StoredDelegation } from './ports.ts'

export const delegationSeconds = 30 * 86_400
/** Renewed when less than a third is left. */
const renewSeconds = delegationSeconds / 3

/** The recovery root while it is on this machine. */
export interface RootAtHand {
  readonly jwk: P256Jwk
  readonly key: SignKey
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
  if (root !== null && (held === null || held.key === null || left < renewSeconds))
    return delegate(context, root, held ?? (stored === null ? null : { stored, delegation: null }))
  if (held === null) {
    throw new DoorwardError('delegation_expired', 'no delegation to sign trust state is in force', {
      next: 'bring the recovery root back to its place and start again',
    })
  }
  return { ...held, due: left < renewSeconds }
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
  for (const name of await trustKeyNames(custody)) {
    const key = await custody.need(name)
    if (keys.some((jwk) => sameKey(jwk, key.jwk))) return key
  }
  return null
}

/** The key that the next delegation should name for us: the newest that we have, made when there is none. */
export async function candidateKey(context: AuthorityContext): Promise<CustodyKey> {
  const { custody } = context
  const names = await trustKeyNames(custody)
  const newest = names.at(-1)
  return newest === undefined ? newTrustKey(context) : custody.need(newest)
}

/** Names sort by the time at which the keys were made. */
export async function newTrustKey({ custody, clock, random }: AuthorityContext): Promise<CustodyKey> {
  return custody.create(`${KEY_PREFIX}${String(clock()).padStart(15, '0')}-${hex(random(4))}`)
}

/** Destroys our trust-state keys that the delegation in force does not name. */
export async function forgetTrustKeys(
  { custody }: AuthorityContext,
  { keys }: Pick<Delegation, 'keys'>,
): Promise<void> {
  for (const name of await trustKeyNames(custody)) {
    const { jwk } = await custody.need(name)
    if (!keys.some((key) => sameKey(key, jwk))) await custody.destroy(name)
  }
}

async function trustKeyNames(custody: AuthorityContext['custody']): Promise<readonly string[]> {
  return (await custody.names()).filter((name) => name.startsWith(KEY_PREFIX)).toSorted()
}

export function sameKey(a: P256Jwk, b: P256Jwk): boolean {
  return a.x === b.x && a.y === b.y
}

/** Key first, then the delegation that names it, then the old key goes; a crash leaves a key too many, never one too few. */
async function delegate(
  context: AuthorityContext,
  root: RootAtHand,
  before: (Pick<HeldDelegation, 'stored'> & { readonly delegation: Delegation | null }) | null,
): Promise<HeldDelegation> {
  const { trustDomain } = context
  await checkRoot(context, root)
  const key = await newTrustKey(context)
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

/** Keys of other authorities that the root had delegated to before and that still run: none is added unseen. */
async function keysOfOthers(
  { store, instance, clock }: AuthorityContext,
  before: Delegation | null,
): Promise<readonly P256Jwk[]> {
  const others = (await store.leases.list(clock())).filter((entry) => entry.instance !== instance && entry.live)
  return (before?.keys ?? []).filter((jwk) =>
    others.some(({ trustKey }) => trustKey !== null && sameKey(trustKey, jwk)),
  )
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
    body: { change: 'delegation', version, keys: keys.length, expires_at: expiresAt },
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
