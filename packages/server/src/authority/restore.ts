/**
 * The way back after a copy of the store was put back that is older than what this authority has recorded (reference ids
 * RV-7, OP-4). Its own log says what has happened since: that happens again, in its order. What the copy would bring back
 * to life ends with a new epoch: every certificate, token and key from before, and everyone proves themselves anew.
 */

import { epochSeconds, jwkThumbprint } from '@doorward/core'
import type { EpochSeconds, SignedDelegation, WorkloadChange, WorkloadDocument } from '@doorward/core'
import { failedCeremony } from './ceremony-start.ts'
import { isOpen } from './ceremony.ts'
import { nowSeconds } from './context.ts'
import type { AuthorityContext } from './context.ts'
import type { StoredVersion } from './ledger.ts'
import { longestLifeSeconds } from './log-fact.ts'
import type { FactEntry } from './log-fact.ts'
import type { Denial, Registration } from './ports.ts'
import { contentOf, documentOf } from './registration-document.ts'

/** So far above what the log knows, trust states go on: other authorities cannot have published as many since. */
export const restoreJump = 1_000_000_000

/** One thing that has happened since. */
export type RestoreStep =
  | {
      readonly step: 'delegate'
      readonly version: number
      readonly expiresAt: EpochSeconds
      readonly signed: SignedDelegation
    }
  | { readonly step: 'register'; readonly document: WorkloadDocument; readonly at: EpochSeconds }
  | {
      readonly step: 'change'
      readonly id: string
      readonly revision: number
      readonly changes: readonly WorkloadChange[]
    }
  | { readonly step: 'remove'; readonly id: string; readonly at: EpochSeconds }
  | { readonly step: 'deny'; readonly id: string; readonly issuedBefore: EpochSeconds; readonly reason: string }
  | { readonly step: 'lock'; readonly instance: string; readonly reason: string }
  /** Somebody has joined: the copy does not know the machine key. */
  | { readonly step: 'join'; readonly id: string; readonly thumbprint: string }
  | { readonly step: 'keys'; readonly keyIds: readonly string[] }

export interface RestoreSource {
  /** What the store holds, and what it has held by our log. */
  readonly held: StoredVersion
  readonly newest: StoredVersion
  /** In the order of the log. */
  readonly steps: readonly RestoreStep[]
}

export interface Restored {
  readonly epoch: number
  /** The next trust state comes after this sequence. */
  readonly floor: number
  /** What was done again, for the operator. */
  readonly again: readonly string[]
  /** Who has joined since: the copy has forgotten them, and they have to join anew. */
  readonly forgotten: readonly string[]
}

const denialMarginSeconds = 600

/** What an entry means for a store that does not know of it; null for nothing. */
export function restoreStep({ kind, time, body }: FactEntry): RestoreStep | null {
  const at = epochSeconds(Math.floor(time / 1000))
  const text = (name: string): string | null => {
    const value = body[name]
    return typeof value === 'string' ? value : null
  }
  const [id, instance] = [text('id'), text('instance')]
  const reason = text('reason') ?? 'denied before the store was put back'
  switch (`${kind} ${text('change') ?? text('phase') ?? text('detector') ?? ''}`) {
    case 'trust delegation':
      return typeof body['signed'] === 'object'
        ? {
            step: 'delegate',
            version: Number(body['version']),
            expiresAt: epochSeconds(Number(body['expires_at'])),
            signed: body['signed'] as SignedDelegation,
          }
        : null
    case 'trust anchor.prepare':
    case 'trust token.prepare':
    case 'trust jwt-svid.prepare':
      return { step: 'keys', keyIds: [text('key_id') ?? ''] }
    case 'trust keys':
      return { step: 'keys', keyIds: Array.isArray(body['key_ids']) ? body['key_ids'].map(String) : [] }
    case 'admin workload.add':
      return isDocument(body['workload'])
        ? { step: 'register', document: { ...saysNothing, ...body['workload'] }, at }
        : null
    case 'admin workload.update':
      return id === null
        ? null
        : { step: 'change', id, revision: Number(body['revision']), changes: body['changes'] as never }
    case 'admin workload.remove':
      return id === null ? null : { step: 'remove', id, at }
    case 'admin revoke':
      return revocationStep(body, { at, reason })
    case 'admin instance.lock':
    case 'admin instance.remove':
      return instance === null ? null : { step: 'lock', instance, reason }
    case 'detection DT-3':
      return {
        step: 'lock',
        instance: (text('subject') ?? '').split('#')[1] ?? '',
        reason: 'a join state from the past was shown',
      }
    case 'issuance attested':
      return id === null ? null : { step: 'join', id, thumbprint: text('machine_key') ?? '' }
    default:
      return null
  }
}

/** Single certificates, tokens and keys end with their epoch. */
function revocationStep(
  body: FactEntry['body'],
  { at, reason }: { readonly at: EpochSeconds; readonly reason: string },
): RestoreStep | null {
  const { subject, id, instance, issued_before } = body
  if (subject === 'instance' && typeof instance === 'string') return { step: 'lock', instance, reason }
  if (subject !== 'workload' || typeof id !== 'string') return null
  const issuedBefore = typeof issued_before === 'number' ? epochSeconds(issued_before) : epochSeconds(at + 1)
  return { step: 'deny', id, issuedBefore, reason }
}

/**
 * Puts the store right. What is repeated after a crash changes nothing: until the next trust state is published, the store
 * is as old as before. Throws what store and record throw.
 */
export async function restore(context: AuthorityContext, source: RestoreSource): Promise<Restored> {
  const { held, newest, steps } = source
  const epoch = held.epoch > newest.epoch ? held.epoch : newest.epoch + 1
  const floor = Math.max(held.sequence, newest.sequence) + restoreJump
  await context.log.append({ kind: 'trust', body: { change: 'store.restored', held, newest, epoch, floor } })
  const again: string[] = []
  for (const step of steps) {
    const done = await repeat(context, step)
    if (done !== null) again.push(done)
  }
  await endEverything(context, epoch, steps)
  return { epoch, floor, again, forgotten: await forgottenBy(context, steps) }
}

async function repeat(context: AuthorityContext, step: RestoreStep): Promise<string | null> {
  const { store } = context
  switch (step.step) {
    case 'delegate': {
      const { version, expiresAt, signed } = step
      return (await store.trust.delegate({ version, expiresAt, message: JSON.stringify(signed) }))
        ? `delegation ${version}`
        : null
    }
    case 'register':
      return register(context, step)
    case 'change':
      return change(context, step)
    case 'remove':
      return remove(context, step)
    case 'deny':
      return deny(context, step)
    case 'lock':
      return (await store.instances.lock(step.instance, step.reason, nowSeconds(context)))
        ? `lock of ${step.instance}`
        : null
    case 'join':
      return endOthers(context, step.id)
    case 'keys':
      return null
  }
}

async function register(
  { store }: AuthorityContext,
  { document, at }: Extract<RestoreStep, { step: 'register' }>,
): Promise<string | null> {
  if ((await store.registrations.find(document.id)) !== null) return null
  const full: Registration = { ...contentOf(document), createdAt: at, updatedAt: at, revision: 1 }
  return (await store.registrations.add(full, Number.MAX_SAFE_INTEGER, true)) === 'added'
    ? `registration of ${full.id}`
    : null
}

/** A revision that the store is past was changed before the copy was made. */
async function change(
  { store, clock }: AuthorityContext,
  { id, revision, changes }: Extract<RestoreStep, { step: 'change' }>,
): Promise<string | null> {
  const registration = await store.registrations.find(id)
  if (registration === null || registration.revision !== revision) return null
  const document = {
    ...documentOf(registration),
    ...Object.fromEntries(changes.map(({ field, after }) => [field, after])),
  }
  const { createdAt } = registration
  const full = { ...contentOf(document), createdAt, updatedAt: nowSeconds({ clock }), revision }
  return (await store.registrations.update(full, revision)) === 'updated' ? `change of ${id}` : null
}

/** Who was registered again since is not meant. */
async function remove(
  { store }: AuthorityContext,
  { id, at }: Extract<RestoreStep, { step: 'remove' }>,
): Promise<string | null> {
  const registration = await store.registrations.find(id)
  if (registration === null || registration.createdAt > at) return null
  return (await store.registrations.remove(id, identityDenial(id, epochSeconds(at + 1), 'workload removed')))
    ? `removal of ${id}`
    : null
}

async function deny(
  context: AuthorityContext,
  { id, issuedBefore, reason }: Extract<RestoreStep, { step: 'deny' }>,
): Promise<string | null> {
  const known = await context.store.revocations.issuedBefore(id)
  if (known !== null && known >= issuedBefore) return null
  await context.store.revocations.revoke(identityDenial(id, issuedBefore, reason), nowSeconds(context))
  return `denial of ${id}`
}

function identityDenial(id: string, issuedBefore: EpochSeconds, reason: string): Denial {
  const lapsesAt = epochSeconds(issuedBefore + longestLifeSeconds + denialMarginSeconds)
  return { kind: 'identity', value: id, issuedBefore, lapsesAt, reason }
}

/** A new instance has ended the earlier ones of an identity that has a single one. */
async function endOthers(context: AuthorityContext, id: string): Promise<string | null> {
  const { registrations, instances } = context.store
  if ((await registrations.find(id))?.singleInstance !== true) return null
  let ended = 0
  for (const { instance, locked } of await instances.list(id))
    if (locked === null && (await instances.lock(instance, 'replaced by a new instance', nowSeconds(context))))
      ended += 1
  return ended === 0 ? null : `end of ${ended} instances of ${id}`
}

/** Certificates, tokens and keys with their epoch; join tokens and join states, which the copy has from the past. */
async function endEverything(context: AuthorityContext, epoch: number, steps: readonly RestoreStep[]): Promise<void> {
  const { store, clock } = context
  const now = nowSeconds(context)
  const slots = await store.slots.list()
  const made = steps.flatMap((step) => (step.step === 'keys' ? step.keyIds : []))
  const old = slots.filter((slot) => slot.epoch < epoch).map(({ keyId }) => keyId)
  const lapsesAt = epochSeconds(now + 7 * 86_400 + denialMarginSeconds)
  const keyIds = new Set([...old, ...made.filter((keyId) => slots.every((slot) => slot.keyId !== keyId))])
  const denials = [...keyIds].map((value) => {
    return { kind: 'authority', value, issuedBefore: now, lapsesAt, reason: 'the store was put back' } as const
  })
  await store.denials.denyInEpoch(denials, epoch)
  await store.joins.withdrawAll()
  await store.instances.forgetStates()
  const open = await store.ceremonies.newest()
  if (open !== null && isOpen(open))
    await store.ceremonies.advance(open.id, open.stage, failedCeremony(open, 'the store was put back', clock()))
}

/** Of those who have joined since, the ones whose machine keys the copy does not know. */
async function forgottenBy(
  { store, sha256 }: AuthorityContext,
  steps: readonly RestoreStep[],
): Promise<readonly string[]> {
  const forgotten = new Set<string>()
  for (const step of steps) {
    if (step.step !== 'join' || (await store.registrations.find(step.id)) === null) continue
    const held = await store.instances.list(step.id)
    if (!held.some(({ machineKey }) => jwkThumbprint(machineKey, sha256) === step.thumbprint)) forgotten.add(step.id)
  }
  return [...forgotten]
}

/** What entries of earlier releases say nothing of. */
const saysNothing = { audiences: [] } as const

function isDocument(value: unknown): value is WorkloadDocument {
  return typeof value === 'object' && value !== null && 'id' in value && 'attest' in value && 'ttl_seconds' in value
}

/** Changes are on record before they are stored: what the copy has missed may stand so much earlier in the log. */
export const restoreMarginMilliseconds = 600_000
