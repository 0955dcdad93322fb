/**
 * Denying what was issued: authorised like issuing it, on record before it takes effect, published before the call
 * returns (reference ids RV-4 … RV-6, OP-4). Who holds it finds new handshakes, live connections, streams, tokens and
 * renewals refused.
 */

import {
  backdatingSeconds,
  denialMarginSeconds,
  epochSeconds,
  isEdgeId,
  readSpiffeId,
  readUserName,
} from '@doorward/core'
import type { EpochSeconds } from '@doorward/core'
import { nowSeconds } from './context.ts'
import type { AuthorityContext } from './context.ts'
import type { Denial, Revoked } from './ports.ts'
import { isAuthorityRefusal, refuse } from './refusal.ts'
import type { AuthorityRefusal } from './refusal.ts'
import { schedules } from './slot-transition.ts'

export type RevocationSubject =
  | {
      readonly kind: 'serial'
      /** Lowercase hex. */
      readonly serial: string
      /** Denied even though nobody here has issued it. */
      readonly unseen: boolean
    }
  | {
      readonly kind: 'workload'
      /** SPIFFE ID. */
      readonly id: string
      /** What was issued before is denied; now by default. */
      readonly issuedBefore: EpochSeconds | null
    }
  | { readonly kind: 'instance'; readonly instance: string }
  | { readonly kind: 'token'; readonly tokenId: string }
  /** A person, `<issuer>#<subject>`: every sign-in and token so far. They may sign in again. */
  | { readonly kind: 'user'; readonly user: string }
  /** An anchor or a token key. */
  | { readonly kind: 'authority'; readonly keyId: string }

export interface RevocationRequest {
  readonly subject: RevocationSubject
  /** In the operator's words; on record. */
  readonly reason: string
  readonly by: Revoker
}

/** Who denies, and with which certificate. */
export interface Revoker {
  readonly name: string
  readonly id: string
  readonly serial: string
}

export interface RevokeDependencies {
  readonly context: AuthorityContext
  /** Puts keys in place of own ones that are denied, with everything that has to follow; true when that was published. */
  readonly settleKeys: () => Promise<boolean>
  readonly publish: () => Promise<void>
}

const SERIAL = /^(?!00)(?:[0-9a-f]{2}){1,20}$/
/** 128 random bits, as `jti`. */
const TOKEN_ID = /^[A-Za-z0-9_-]{22}$/
const KEY_ID = /^[A-Za-z0-9_-]{1,128}$/
const leewaySeconds = 30
/** No token of an issuer is configured to live longer. */
const longestTokenSeconds = 86_400
const margins = backdatingSeconds + denialMarginSeconds

/**
 * Denies, and answers with all that is denied by it. What the operator may want to know of a refusal is in its details:
 * `reason` is one of `serial_unknown`, `workload_unknown`, `instance_unknown`, `key_unknown`, `self`, `authority`, `ended`. Refusals: `request_invalid`; `resource_unknown` for what is neither
 * registered nor issued; `conflict` for what cannot be denied so; `authority_unready`.
 */
export async function revoke(
  { context, settleKeys, publish }: RevokeDependencies,
  request: RevocationRequest,
): Promise<Revoked | AuthorityRefusal> {
  const unfit = context.unfit()
  if (unfit !== null) return refuse('authority_unready', unfit)
  const refusal = await objection(context, request)
  if (refusal !== null) return refusal
  await context.log.append({
    kind: 'admin',
    body: { change: 'revoke', ...subjectFields(request.subject), reason: request.reason, by: request.by.name },
  })
  // A denial lapses before what people have agreed to at the front does.
  const forget = () => forgetConsents(context, request.subject)
  await forget()
  const revoked = await deny(context, request)
  if (isAuthorityRefusal(revoked)) return revoked
  // What fails with our own keys is told and tried again with the next beat: the denial goes out.
  const settled = request.subject.kind === 'authority' && (await settleKeys().catch(() => false))
  if (!settled) await publish()
  // Once more: until that was published somebody may have agreed on the strength of an older sign-in.
  await forget()
  return revoked
}

/** Of a person, or of everybody where it is about a client, whose ids at the front are only known there: people are asked again. */
async function forgetConsents({ store }: AuthorityContext, subject: RevocationSubject): Promise<void> {
  if (subject.kind === 'user') await store.front.forget(subject.user)
  const id = subject.kind === 'workload' ? readSpiffeId(subject.id) : null
  if (id !== null && !('problem' in id) && isEdgeId(id)) await store.front.forget(null)
}

function subjectFields(subject: RevocationSubject): object {
  switch (subject.kind) {
    case 'serial':
      return { subject: 'serial', serial: subject.serial }
    case 'workload':
      return { subject: 'workload', id: subject.id, issued_before: subject.issuedBefore }
    case 'instance':
      return { subject: 'instance', instance: subject.instance }
    case 'token':
      return { subject: 'token', token: subject.tokenId }
    case 'user':
      return { subject: 'user', user: subject.user }
    case 'authority':
      return { subject: 'authority', key_id: subject.keyId }
  }
}

/** What speaks against it, before anything is on record. */
async function objection(
  context: AuthorityContext,
  { subject, by }: RevocationRequest,
): Promise<AuthorityRefusal | null> {
  switch (subject.kind) {
    case 'serial':
      return serialObjection(context, subject)
    case 'workload':
      return workloadObjection(context, subject, by)
    case 'instance':
      return instanceObjection(context, subject.instance, by)
    case 'token':
      if (TOKEN_ID.test(subject.tokenId)) return null
      return refuse('request_invalid', 'expected the id of a token, its jti: 22 characters of base64url')
    case 'user':
      if (readUserName(subject.user) !== null) return null
      return refuse('request_invalid', 'expected a user as the record names them: <issuer>#<subject>')
    case 'authority':
      return authorityObjection(context, subject.keyId)
  }
}

type Subject<Kind extends RevocationSubject['kind']> = Extract<RevocationSubject, { readonly kind: Kind }>

async function serialObjection(
  { store }: AuthorityContext,
  { serial, unseen }: Subject<'serial'>,
): Promise<AuthorityRefusal | null> {
  if (!SERIAL.test(serial))
    return refuse('request_invalid', 'expected a serial number: 1 to 20 octets of lowercase hex')
  if (unseen || (await store.issuance.findBySerial(serial)) !== null) return null
  return refuse('resource_unknown', `no certificate with the serial ${serial} was issued here`, {
    reason: 'serial_unknown',
  })
}

async function workloadObjection(
  context: AuthorityContext,
  { id, issuedBefore }: Subject<'workload'>,
  by: Revoker,
): Promise<AuthorityRefusal | null> {
  const read = readSpiffeId(id)
  if ('problem' in read) return refuse('request_invalid', 'expected a SPIFFE ID')
  if (issuedBefore !== null && issuedBefore > nowSeconds(context) + 1)
    return refuse('request_invalid', 'expected a moment that has passed')
  if (id === context.id.uri) return refuse('conflict', 'an authority is denied by its key id', { reason: 'authority' })
  if (id === by.id) return refuse('conflict', `${id} asks itself, and could not come back`, { reason: 'self' })
  // Clients at the edge are known to gateways alone.
  if (isEdgeId(read) && read.trustDomain === context.id.trustDomain) return null
  if ((await context.store.registrations.find(id)) !== null) return null
  return refuse('resource_unknown', `${id} is not registered: what was removed is denied already`, {
    reason: 'workload_unknown',
  })
}

async function instanceObjection(
  { store }: AuthorityContext,
  instance: string,
  by: Revoker,
): Promise<AuthorityRefusal | null> {
  const held = await store.instances.find(instance)
  if (held === null) return refuse('resource_unknown', `no instance ${instance}`, { reason: 'instance_unknown' })
  if ((await store.issuance.findBySerial(by.serial))?.instance !== instance) return null
  return refuse('conflict', `instance ${instance} asks itself, and could not come back`, { reason: 'self' })
}

async function authorityObjection(context: AuthorityContext, keyId: string): Promise<AuthorityRefusal | null> {
  if (!KEY_ID.test(keyId))
    return refuse('request_invalid', 'expected the key id of an anchor, of a token key or of a key for JWT-SVIDs')
  const { slots, denials } = context.store
  if ((await slots.list()).some((slot) => slot.keyId === keyId)) return null
  const denied = await denials.list(nowSeconds(context))
  if (denied.some(({ kind, value }) => kind === 'authority' && value === keyId)) return null
  return refuse('resource_unknown', `no signing key has the id ${keyId}`, { reason: 'key_unknown' })
}

async function deny(
  context: AuthorityContext,
  { subject, reason }: RevocationRequest,
): Promise<Revoked | AuthorityRefusal> {
  const now = nowSeconds(context)
  if (subject.kind === 'instance') return lock(context, subject.instance, { reason, now })
  const revoked = await context.store.revocations.revoke(await denialOf(context, subject, { reason, now }), now)
  return revoked.denials.length > 0
    ? revoked
    : refuse('conflict', 'it has ended by itself, and so have its renewals', { reason: 'ended' })
}

interface Occasion {
  readonly reason: string
  readonly now: EpochSeconds
}

/** An instance that is locked already stays so. */
async function lock({ store }: AuthorityContext, instance: string, { reason, now }: Occasion): Promise<Revoked> {
  const held = await store.instances.find(instance)
  await store.instances.lock(instance, reason, now)
  const live = held === null ? [] : (await store.issuance.live(now, held.id)).filter((row) => row.instance === instance)
  const serials = new Set(live.map(({ serial }) => serial))
  const denials = (await store.denials.list(now)).filter(({ kind, value }) => kind === 'serial' && serials.has(value))
  return { denials, locked: [instance] }
}

/** A denial lives for as long as anything that it refuses could. */
async function denialOf(
  { store }: AuthorityContext,
  subject: Exclude<RevocationSubject, { readonly kind: 'instance' }>,
  { reason, now }: Occasion,
): Promise<Denial> {
  const { lifetimeSeconds, signedLifetimeSeconds } = schedules.anchor
  const denial = (kind: Denial['kind'], value: string, lives: number, issuedBefore = now): Denial => {
    return { kind, value, issuedBefore, lapsesAt: epochSeconds(lives + margins), reason }
  }
  switch (subject.kind) {
    case 'serial':
      // Of one that is known the certificate itself says how long; a forger gives as much as his anchor has.
      return denial('serial', subject.serial, now + lifetimeSeconds)
    case 'workload':
      // What was issued within the running second is denied too; what follows is dated after it.
      return denial('identity', subject.id, now + signedLifetimeSeconds, subject.issuedBefore ?? epochSeconds(now + 1))
    case 'user':
      return denial('identity', subject.user, now + longestTokenSeconds, epochSeconds(now + 1))
    case 'token':
      // What the record calls a token at the edge is denied so as well, and issuers let theirs live longer than ours.
      return denial('token', subject.tokenId, now + longestTokenSeconds + leewaySeconds)
    case 'authority': {
      const slot = (await store.slots.list()).find(({ keyId }) => keyId === subject.keyId)
      return denial('authority', subject.keyId, slot?.notAfter ?? now + lifetimeSeconds)
    }
  }
}
