/** The delegation under which trust state is signed: made by the recovery root, renewed while the root is at hand. */

import { DoorwardError, epochSeconds, hex, signDelegation } from '@doorward/core'
import type { P256Jwk, SignedDelegation, SignKey } from '@doorward/core'
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
  /** The trust-state key. */
  readonly key: CustodyKey
  /** The delegation should be renewed and the root is not at hand. */
  readonly due: boolean
}

const KEY_PREFIX = 'trust-state-'

/**
 * The newest delegation, renewed when that is due and possible. Throws `delegation_expired` when the last one has ended
 * and the root is not at hand, `root_other` when the root is not the one that everyone has pinned.
 */
export async function holdDelegation(context: AuthorityContext, root: RootAtHand | null): Promise<HeldDelegation> {
  const stored = await context.store.trust.newestDelegation()
  const left = stored === null ? 0 : stored.expiresAt - nowSeconds(context)
  if (root !== null && left < renewSeconds) return delegate(context, root, stored)
  if (stored === null || left <= 0) {
    throw new DoorwardError('delegation_expired', 'no delegation to sign trust state is in force', {
      next: 'bring the recovery root back to its place and start again',
    })
  }
  const signed = JSON.parse(stored.message) as SignedDelegation
  return { stored, signed, key: await context.custody.need(stored.keyName), due: left < renewSeconds }
}

/** Key first, then the delegation that names it, then the old key goes; a crash leaves a key too many, never one too few. */
async function delegate(
  context: AuthorityContext,
  root: RootAtHand,
  before: StoredDelegation | null,
): Promise<HeldDelegation> {
  const { store, custody, log, random, trustDomain } = context
  await checkRoot(context, root)
  const version = (before?.version ?? 0) + 1
  const keyName = `${KEY_PREFIX}${version}-${hex(random(4))}`
  const key = await custody.create(keyName)
  const issuedAt = nowSeconds(context)
  const expiresAt = epochSeconds(issuedAt + delegationSeconds)
  const signed = await signDelegation({ trustDomain, version, key: key.jwk, issuedAt, expiresAt }, root.key, root.jwk)
  await log.append({ kind: 'trust', body: { change: 'delegation', version, expires_at: expiresAt } })
  const stored = { version, keyName, expiresAt, message: JSON.stringify(signed) }
  if (!(await store.trust.delegate(stored))) {
    throw new DoorwardError('delegation_raced', 'another authority has delegated at the same time', {
      next: 'start again',
    })
  }
  for (const name of await custody.names()) {
    if (name.startsWith(KEY_PREFIX) && name !== keyName) await custody.destroy(name)
  }
  return { stored, signed, key, due: false }
}

async function checkRoot({ store }: AuthorityContext, { jwk }: RootAtHand): Promise<void> {
  const domain = await store.domain.read()
  if (domain === null || (domain.root.x === jwk.x && domain.root.y === jwk.y)) return
  throw new DoorwardError('root_other', 'the recovery root is not the one of this trust domain', {
    next: 'put the right recovery root in its place; the one there has not been used',
  })
}
