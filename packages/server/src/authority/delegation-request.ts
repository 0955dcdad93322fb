/** What the recovery root is asked to sign, and taking in what it has signed. The root itself never comes here. */

import { DoorwardError, epochSeconds, isDoorwardError, jwkThumbprint, MAX_DELEGATED_KEYS } from '@doorward/core'
import type { Delegation, P256Jwk, SignedDelegation } from '@doorward/core'
import { isOpen } from './ceremony.ts'
import type { Ceremony } from './ceremony.ts'
import { nowSeconds } from './context.ts'
import type { AuthorityContext } from './context.ts'
import { checkDelegation, delegationSeconds, keysOf, sameKey, storeDelegation } from './delegation.ts'
import type { AuthorityEntry, StoredDelegation } from './ports.ts'
import { refuse } from './refusal.ts'
import type { AuthorityRefusal } from './refusal.ts'

/** One authority whose key the delegation would name. */
export interface DelegationCandidate {
  readonly name: string
  readonly instance: string
  readonly live: boolean
  readonly key: P256Jwk
  /** RFC 7638 thumbprint of the key, base64url. */
  readonly thumbprint: string
  /** The delegation in force does not name it. */
  readonly isNew: boolean
}

export interface DelegationRequest {
  readonly statement: Delegation
  readonly candidates: readonly DelegationCandidate[]
  /** RFC 7638 thumbprint of the root that has to sign. */
  readonly rootFingerprint: string
  /** The recovery that waits for the signature. */
  readonly ceremony: Pick<Ceremony, 'id' | 'reason' | 'by'> | null
}

/** A root that signs for longer is not asked for again when it should be. */
const longestSeconds = 366 * 86_400

/** The statement to be signed now. Refusals: `conflict` while a recovery is not at that point, or with too many authorities. */
export async function delegationRequest(context: AuthorityContext): Promise<DelegationRequest | AuthorityRefusal> {
  const { store, trustDomain, sha256 } = context
  const [domain, newest, stored] = await Promise.all([
    store.domain.read(),
    store.ceremonies.newest(),
    store.trust.newestDelegation(),
  ])
  if (domain === null) throw new DoorwardError('state_damaged', 'the store does not know its trust domain')
  const recovery = newest !== null && newest.kind === 'recover' && isOpen(newest) ? newest : null
  if (recovery !== null && recovery.stage !== 'delegate')
    return refuse('conflict', `a recovery is under way, at ${recovery.stage}`)
  const held = stored === null ? [] : (await checkStored(context, stored)).keys
  const keys = recovery === null ? await keysInUse(context, held) : await keysOfRecovery(context, recovery)
  if (keys.length > MAX_DELEGATED_KEYS)
    return refuse('conflict', `a delegation names at most ${MAX_DELEGATED_KEYS} keys, and there are ${keys.length}`)
  const now = nowSeconds(context)
  return {
    statement: {
      trustDomain,
      version: (stored?.version ?? 0) + 1,
      keys: keys.map(({ key }) => key),
      issuedAt: now,
      expiresAt: epochSeconds(now + delegationSeconds),
    },
    candidates: keys.map(({ entry, key }) => ({
      name: entry.name,
      instance: entry.instance,
      live: entry.live,
      key,
      thumbprint: jwkThumbprint(key, sha256),
      isNew: !held.some((one) => sameKey(one, key)),
    })),
    rootFingerprint: jwkThumbprint(domain.root, sha256),
    ceremony: recovery,
  }
}

interface NamedKey {
  readonly entry: Pick<AuthorityEntry, 'name' | 'instance' | 'live'>
  readonly key: P256Jwk
}

/** Of an ended delegation too: it only tells which keys were named before. */
async function checkStored(
  context: AuthorityContext,
  { message }: StoredDelegation,
): Promise<{ readonly keys: readonly P256Jwk[] }> {
  try {
    return (await checkDelegation(context, JSON.parse(message) as SignedDelegation)).delegation
  } catch (error) {
    if (isDoorwardError(error, 'delegation_invalid')) return { keys: [] }
    throw error
  }
}

/**
 * Whoever runs, and whoever was named before and may come back; nobody whom a recovery has shut out. Of several keys that an
 * authority holds, the one that is named already stays: another may be one that a recovery has replaced.
 */
async function keysInUse({ store, clock }: AuthorityContext, held: readonly P256Jwk[]): Promise<readonly NamedKey[]> {
  const newest = await store.ceremonies.newest()
  const shutOut = (newest?.excluded ?? []).map(({ instance }) => instance)
  return (await store.leases.list(clock())).flatMap((entry) => {
    if (shutOut.includes(entry.instance)) return []
    const named = keysOf(entry).find((key) => held.some((one) => sameKey(one, key)))
    const key = named ?? (entry.live ? entry.trustKey : null)
    return key === null ? [] : [{ entry, key }]
  })
}

/** Exactly the keys that were made for the recovery, of those who take part. */
async function keysOfRecovery({ store, clock }: AuthorityContext, recovery: Ceremony): Promise<readonly NamedKey[]> {
  const [entries, contributions] = await Promise.all([
    store.leases.list(clock()),
    store.ceremonies.contributions(recovery.id),
  ])
  return contributions.flatMap(({ authority, trustKey }) => {
    const part = recovery.authorities.find(({ instance }) => instance === authority)
    if (part === undefined) return []
    const live = entries.some((entry) => entry.instance === authority && entry.live)
    return [{ entry: { ...part, live }, key: trustKey }]
  })
}

/** Whether the newest delegation names exactly the keys that were made for the recovery. */
export async function isDelegated(context: AuthorityContext, recovery: Ceremony): Promise<boolean> {
  const stored = await context.store.trust.newestDelegation()
  if (stored === null) return false
  const { keys } = await checkStored(context, stored)
  return sameKeys(
    keys,
    (await keysOfRecovery(context, recovery)).map(({ key }) => key),
  )
}

/**
 * Puts a delegation by the recovery root into force; every authority takes it up by itself. Refusals: `delegation_refused`
 * when it is not by the pinned root, not for the keys that were asked for, or for longer than a year; `conflict` when another one has
 * come in between, or while a recovery is not at that point.
 */
export async function acceptDelegation(
  context: AuthorityContext,
  signed: SignedDelegation,
  by: string,
): Promise<Delegation | AuthorityRefusal> {
  const asked = await delegationRequest(context)
  if ('refused' in asked) return asked
  const delegation = await opened(context, signed)
  if ('refused' in delegation) return delegation
  const { statement, ceremony } = asked
  if (delegation.version !== statement.version)
    return refuse(
      'conflict',
      `expected version ${statement.version}, got ${delegation.version}: ask anew and sign that`,
    )
  if (delegation.expiresAt - delegation.issuedAt > longestSeconds)
    return refuse('delegation_refused', `expected at most ${longestSeconds} s, got more`)
  const fits =
    ceremony === null
      ? delegation.keys.every((key) => statement.keys.some((one) => sameKey(one, key)))
      : sameKeys(delegation.keys, statement.keys)
  if (!fits) return refuse('delegation_refused', 'expected exactly the keys of the authorities that were shown')
  const { version, expiresAt, keys } = delegation
  await context.log.append({
    kind: 'admin',
    body: {
      change: 'delegation.accept',
      version,
      keys: keys.length,
      expires_at: expiresAt,
      by,
      ...(ceremony === null ? {} : { ceremony: ceremony.id }),
    },
  })
  return store(context, signed)
}

async function opened(context: AuthorityContext, signed: SignedDelegation): Promise<Delegation | AuthorityRefusal> {
  try {
    return (await checkDelegation(context, signed)).delegation
  } catch (error) {
    if (!isDoorwardError(error, 'delegation_invalid')) throw error
    return refuse('delegation_refused', error.got ?? error.message)
  }
}

async function store(context: AuthorityContext, signed: SignedDelegation): Promise<Delegation | AuthorityRefusal> {
  try {
    return (await storeDelegation(context, signed)).delegation
  } catch (error) {
    if (!isDoorwardError(error, 'delegation_raced')) throw error
    return refuse('conflict', 'another delegation has come in between: ask anew and sign that')
  }
}

function sameKeys(a: readonly P256Jwk[], b: readonly P256Jwk[]): boolean {
  return a.length === b.length && a.every((key) => b.some((one) => sameKey(one, key)))
}
