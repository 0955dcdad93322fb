/** Registered workloads: adding, changing and removing them. */

import { epochSeconds, trustStateLimits, workloadChanges, workloadLimits } from '@doorward/core'
import type { EpochSeconds, JsonObject, JsonValue, WorkloadDocument } from '@doorward/core'
import { nowSeconds } from './context.ts'
import type { AuthorityContext } from './context.ts'
import type { AttestationRule } from './attest/rule.ts'
import type { Registration, RegistrationStore } from './ports.ts'
import { isAuthorityRefusal, refuse } from './refusal.ts'
import type { AuthorityRefusal } from './refusal.ts'
import { checkedDocument } from './registration-check.ts'
import type { Asking } from './registration-check.ts'
import { contentOf, documentOf } from './registration-document.ts'
import type { RegistrationContent } from './registration-document.ts'

/** What programs of Doorward register in process; for what is left out see `WorkloadDocument`. */
export interface NewRegistration {
  /** SPIFFE ID with a path, of our trust domain. */
  readonly id: string
  readonly roles: readonly string[]
  readonly ttlSeconds?: number
  readonly dnsNames?: readonly string[]
  readonly ipAddresses?: readonly string[]
  readonly sharedNames?: boolean
  /** The names of the registration that is there stay beside these, as far as there is room: others have put them there. */
  readonly keepsNames?: boolean
  /** False brings in line only what is there; true by default. */
  readonly mayAdd?: boolean
  /** A join token by default. */
  readonly attestation?: readonly AttestationRule[]
  readonly singleInstance?: boolean
  readonly canary?: boolean
  readonly audiences?: readonly string[]
}

/** What the rules of registrations need. */
export interface RegistrationContext extends RegistryContext {
  /** Audiences that are the deployment's: nobody registers them. */
  readonly isOwnAudience: (audience: string) => boolean
}

export type RegistryContext = Pick<AuthorityContext, 'trustDomain' | 'id' | 'store' | 'log' | 'clock'>

export interface Change {
  /** Who does it, for the record. */
  readonly by: string
  /** Publishes the trust state; resolves when it is out. */
  readonly publish: () => Promise<void>
}

/** Room is kept in the trust state. */
const MAX_WORKLOADS = trustStateLimits.workloads - 1000
const MAX_ATTEMPTS = 8
/** Nothing that we issue lives longer than a day, leeway and backdating included. */
const denialSeconds = workloadLimits.mostTtlSeconds + 600

export interface Addition {
  readonly document: JsonValue
  /** It was removed before, and the operator says that the same workload returns (SID-8). */
  readonly again: boolean
  readonly asking: Asking
}

/**
 * Registers a workload. Refusals: `request_invalid` with every problem; `conflict` with a reason: `exists`, `removed`,
 * `name_taken`, `audience_taken`, `full`.
 */
export async function addRegistration(
  context: RegistrationContext,
  { document: value, again, asking }: Addition,
  change: Change,
): Promise<Registration | AuthorityRefusal> {
  const document = checkedDocument(value, { ...context, asking })
  if (isAuthorityRefusal(document)) return document
  const { registrations } = context.store
  if ((await registrations.find(document.id)) !== null) return conflictOf(context, document, 'exists')
  const now = nowSeconds(context)
  const full: Registration = { ...contentOf(document), createdAt: now, updatedAt: now, revision: 1 }
  await context.log.append({
    kind: 'admin',
    body: { change: 'workload.add', id: full.id, again, workload: document, by: change.by },
  })
  const added = await registrations.add(full, MAX_WORKLOADS, again)
  if (added !== 'added') return conflictOf(context, document, added)
  await change.publish()
  return full
}

type Conflict = Exclude<
  Awaited<ReturnType<RegistrationStore['add'] | RegistrationStore['update']>>,
  'added' | 'updated'
>

/** Says what is there, so that the operator can decide without asking again. */
async function conflictOf(
  { store }: RegistryContext,
  document: WorkloadDocument,
  reason: Conflict,
): Promise<AuthorityRefusal> {
  const { registrations } = store
  const { id } = document
  switch (reason) {
    case 'unknown':
      return refuse('resource_unknown', `${id} is not registered`)
    case 'full':
      return refuse('conflict', `no more than ${MAX_WORKLOADS} workloads can be registered`, { reason })
    case 'several_instances':
      return refuse('conflict', `${id} has several instances: remove all but one first`, { reason })
    case 'name_taken': {
      const holder = await registrations.holder(contentOf(document))
      const said = holder === null ? 'another identity' : `${holder.id} has ${holder.name}`
      return refuse('conflict', `a DNS name is taken: ${said}`, { reason, holder: { ...holder } })
    }
    case 'audience_taken': {
      const holders = await Promise.all(document.audiences.map((audience) => registrations.audienceHolder(audience)))
      const at = holders.findIndex((holder) => holder !== null && holder !== id)
      const [name = '', holder = 'another identity'] = [document.audiences[at], holders[at] ?? undefined]
      return refuse('conflict', `${holder} has the audience ${name}`, { reason, holder: { id: holder, name } })
    }
    case 'removed': {
      const removedAt = await registrations.removedAt(id)
      const said = `${id} was removed at ${removedAt}: an id is never given to another`
      return refuse('conflict', said, { reason, removed_at: removedAt })
    }
    case 'exists':
    case 'changed': {
      const held = await registrations.find(id)
      const said = reason === 'exists' ? `${id} is registered already` : `${id} has been changed by somebody else`
      return refuse('conflict', said, { reason, present: held === null ? null : shownRegistration(held) })
    }
  }
}

/** The document, and by which revision it is to be changed. */
export function shownRegistration(registration: Registration): JsonObject {
  const { createdAt, updatedAt, revision } = registration
  return { ...documentOf(registration), created_at: createdAt, updated_at: updatedAt, revision }
}

export interface Replacement {
  readonly document: JsonValue
  /** The one that the caller has seen. */
  readonly revision: number
  readonly asking: Asking
}

/**
 * Puts the document in place of the one at `revision`. Roles bite at once, on live connections too: they are part of
 * the trust state. Names and lifetime are those of the next certificate; who has joined stays joined. Without a
 * difference nothing happens. Refusals: as `addRegistration`, with the reasons `changed`, `name_taken`,
 * `audience_taken` and `several_instances`; `resource_unknown`.
 */
export async function updateRegistration(
  context: RegistrationContext,
  { document: value, revision, asking }: Replacement,
  change: Change,
): Promise<Registration | AuthorityRefusal> {
  const document = checkedDocument(value, { ...context, asking })
  if (isAuthorityRefusal(document)) return document
  const held = await context.store.registrations.find(document.id)
  if (held === null) return conflictOf(context, document, 'unknown')
  if (held.revision !== revision) return conflictOf(context, document, 'changed')
  const changes = workloadChanges(documentOf(held), document)
  if (changes.length === 0) return held
  const { id, createdAt } = held
  const full = { ...contentOf(document), createdAt, updatedAt: nowSeconds(context), revision }
  await context.log.append({ kind: 'admin', body: { change: 'workload.update', id, revision, changes, by: change.by } })
  const updated = await context.store.registrations.update(full, revision)
  if (updated !== 'updated') return conflictOf(context, document, updated)
  await change.publish()
  return { ...full, revision: revision + 1 }
}

/**
 * Registers the workload or brings the registration that is there in line; for identities that configuration defines.
 * Refusals: those of `addRegistration` and `updateRegistration`; `resource_unknown` for one that may not be added.
 */
export async function ensureRegistration(
  context: RegistrationContext,
  registration: NewRegistration,
  change: Change,
): Promise<Registration | AuthorityRefusal> {
  const wanted = completed(registration)
  for (let attempt = 1; ; attempt++) {
    const held = await context.store.registrations.find(registration.id)
    if (held === null && registration.mayAdd === false) return conflictOf(context, documentOf(wanted), 'unknown')
    const kept = registration.keepsNames === true && held !== null ? withNamesOf(held, wanted) : wanted
    const document = { ...documentOf(kept) }
    const result =
      held === null
        ? await addRegistration(context, { document, again: true, asking: 'authority' }, change)
        : await updateRegistration(context, { document, revision: held.revision, asking: 'authority' }, change)
    if (!isOvertaken(result) || attempt === MAX_ATTEMPTS) return result
  }
}

/** Its own names first, so that those that have no room are others'. */
function withNamesOf(held: Registration, wanted: RegistrationContent): RegistrationContent {
  const both = (own: readonly string[], others: readonly string[]) =>
    [...new Set([...own, ...others])].slice(0, workloadLimits.names)
  return {
    ...wanted,
    dnsNames: both(wanted.dnsNames, held.dnsNames),
    ipAddresses: both(wanted.ipAddresses, held.ipAddresses),
  }
}

/** Another authority on the same store was quicker. */
function isOvertaken(result: Registration | AuthorityRefusal): boolean {
  if (!isAuthorityRefusal(result)) return false
  const reason = result.details?.['reason']
  return reason === 'exists' || reason === 'changed'
}

function completed(registration: NewRegistration): RegistrationContent {
  return {
    ttlSeconds: workloadLimits.defaultTtlSeconds,
    dnsNames: [],
    ipAddresses: [],
    sharedNames: false,
    attestation: [{ kind: 'join_token' }],
    singleInstance: false,
    canary: false,
    audiences: [],
    ...registration,
  }
}

export interface Removal {
  readonly id: string
  /** The one that the caller has seen; null for whatever is there. */
  readonly revision: number | null
}

/** What a removal ended. */
export interface Removed {
  readonly id: string
  readonly instances: number
  readonly certificates: number
  readonly joinTokens: number
}

/**
 * Removes a workload and denies everything that was issued to it, on live connections too (RV-5). The id is not given
 * to another: who adds it again says so. Refusals: `resource_unknown`; `conflict` for our own identity, and with the
 * reason `changed`.
 */
export async function removeRegistration(
  context: RegistryContext,
  { id, revision }: Removal,
  change: Change,
): Promise<Removed | AuthorityRefusal> {
  if (id === context.id.uri) return refuse('conflict', 'the authority cannot remove itself', { reason: 'reserved' })
  const { registrations } = context.store
  const held = await registrations.find(id)
  if (held === null) return refuse('resource_unknown', `${id} is not registered`)
  if (revision !== null && held.revision !== revision) return conflictOf(context, documentOf(held), 'changed')
  const now = nowSeconds(context)
  const removed = await endedBy(context, id, now)
  await context.log.append({ kind: 'admin', body: { change: 'workload.remove', ...removed, by: change.by } })
  // What was issued within the running second is denied too; what follows is dated after it.
  const denial = {
    kind: 'identity',
    value: id,
    issuedBefore: epochSeconds(now + 1),
    lapsesAt: epochSeconds(now + denialSeconds),
    reason: 'workload removed',
  } as const
  if (!(await registrations.remove(id, denial, revision ?? undefined)))
    return conflictOf(context, documentOf(held), (await registrations.find(id)) === null ? 'unknown' : 'changed')
  await change.publish()
  return removed
}

async function endedBy({ store }: RegistryContext, id: string, now: EpochSeconds): Promise<Removed> {
  const [instances, certificates, tokens] = await Promise.all([
    store.instances.list(id),
    store.issuance.live(now, id),
    store.joins.pending(id, now),
  ])
  return { id, instances: instances.length, certificates: certificates.length, joinTokens: tokens.length }
}
