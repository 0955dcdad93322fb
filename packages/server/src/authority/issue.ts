/**
 * Issuing an X.509-SVID: the registration decides the content, the request contributes only a public key. The names in an
 * authority's own certificate are those that its configuration gives it.
 *
 * Order: intent in the store, intent on record, profile check, sign, independent re-parse, commit, outcome on record, release,
 * publication. A crash anywhere leaves a serial that start-up voids and denies, or a released certificate.
 */

import {
  backdatingSeconds,
  buildCertificate,
  chainsToAnchor,
  denialMarginSeconds,
  DoorwardError,
  epochSeconds,
  equalBytes,
  newSerial,
  parseSpiffeId,
  svidTemplate,
  toBase64url,
} from '@doorward/core'
import type { CertificateTemplate, EpochSeconds, PeerCertificate } from '@doorward/core'
import { nowSeconds } from './context.ts'
import type { AuthorityContext } from './context.ts'
import { reportCanaryIssued } from './detect/canary.ts'
import type { ActiveAnchor, KeySlots } from './key-slots.ts'
import { checkProfile, lintingKey, mostTtlSeconds, unfit } from './lint.ts'
import type { IssuanceIntent, IssuanceLimits, NextState, Registration, ShownState } from './ports.ts'
import { newestDenial } from './newest-denial.ts'
import { isAuthorityRefusal, refuse } from './refusal.ts'
import type { AuthorityRefusal } from './refusal.ts'

export interface IssueDependencies {
  readonly context: AuthorityContext
  readonly slots: KeySlots
  /** Resolves when a trust state with everything released before the call is published. */
  readonly publish: () => Promise<void>
  /** The moment before which credentials of the identity are denied, as published; 0 for none. */
  readonly deniedBefore: (id: string) => number
}

export interface IssueRequest {
  readonly id: string
  /** DER SubjectPublicKeyInfo, P-256; the caller has proven possession of its private part. */
  readonly publicKey: Uint8Array
  /** For the record: `join`, `return`, `renew`, `own`. */
  readonly occasion: string
  /** Null for the authority's own. */
  readonly instance: string | null
  /** Serial of the certificate that it renews. */
  readonly predecessor: string | null
  /** Join states of the instance; absent for a certificate that belongs to none. */
  readonly states?: RequestedStates
  /** In place of the registration's: only in what an authority issues to itself, because several have one registration. */
  readonly names?: CertificateNames
}

/** What a certificate says beside the SPIFFE ID, for those that dial by name. */
export interface CertificateNames {
  readonly dnsNames: readonly string[]
  readonly ipAddresses: readonly string[]
}

export interface RequestedStates {
  /** Judged together with the intent; absent when it was judged before. */
  readonly shown?: ShownState
  /** Goes out with the certificate. */
  readonly next: NextState
  /** What it means that the state shown does not admit. */
  readonly refuse: (presented: 'regressed' | 'locked' | 'unknown') => Promise<AuthorityRefusal>
}

export interface IssuedCertificate {
  readonly id: string
  /** DER. */
  readonly certificate: Uint8Array
  readonly serial: string
  readonly fingerprint: string
  readonly notAfter: EpochSeconds
  /** The number of the join state that goes with it; null for none. */
  readonly stateNumber: number | null
}

export const issuanceLimits: IssuanceLimits = { perIdentity: 256, total: 90_000 }
/** Several authorities are one identity, and each takes a certificate at each start: none may keep them from starting again. */
const ownLimits: IssuanceLimits = { ...issuanceLimits, perIdentity: 20_000 }
/** A certificate that could not be renewed in time is not worth issuing. */
const SHORTEST_SECONDS = 60

/**
 * Issues one certificate. Refusals: `identity_unregistered`, `certificate_denied`, `authority_unready`, `lifetime_unfit`, `limit_user`,
 * `instance_locked`, and what `states.refuse` says. Throws what store, record and custody throw.
 */
export async function issueCertificate(
  dependencies: IssueDependencies,
  request: IssueRequest,
): Promise<IssuedCertificate | AuthorityRefusal> {
  const { context, slots } = dependencies
  const unfit = context.unfit()
  if (unfit !== null) return refuse('authority_unready', unfit)
  const registration = await context.store.registrations.find(request.id)
  if (registration === null) return refuse('identity_unregistered', `${request.id} is not registered`)
  const now = nowSeconds(context)
  const anchor = slots.anchor(now)
  if (anchor === null || anchor.slot.notAfter - now < SHORTEST_SECONDS)
    return refuse('authority_unready', 'no anchor can sign now')
  const most = mostTtlSeconds(anchor.slot)
  if (registration.ttlSeconds > most)
    return refuse(
      'lifetime_unfit',
      `expected at most ${most} s, a sixth of the anchor's life, got ${registration.ttlSeconds} s`,
    )
  await reportCanaryIssued(context, registration, request.occasion)
  const { publicKey, names = registration } = request
  const deniedBefore = await denialToFollow(dependencies, request)
  const template = templateFor(context, { registration, names, anchor, publicKey, now, deniedBefore })
  const intent = intentOf(context, { request, template, anchor, now })
  const { states } = request
  const limits = request.occasion === 'own' ? ownLimits : issuanceLimits
  const intended = await context.store.issuance.intend(intent, limits, states?.shown)
  switch (intended) {
    case 'regressed':
    case 'locked':
    case 'unknown':
      return states?.refuse(intended) ?? refuse('certificate_denied', `${request.id} has shown no join state`)
    case 'unregistered':
      return refuse('identity_unregistered', `${request.id} is not registered`)
    case 'denied':
      return refuse('certificate_denied', `${request.id} was denied before its certificate was made`)
    case 'full':
      return refuse('limit_user', `${request.id} has too many live certificates`)
    case 'serial_taken':
      throw new DoorwardError('serial_taken', 'a random serial number was drawn twice', { got: intent.serial })
    case 'intended':
      return complete(dependencies, { intent, template, anchor, request })
  }
}

/** Who attests anew may follow a denial that another authority is about to publish; a renewal may not. */
async function denialToFollow(
  { context: { store }, deniedBefore }: IssueDependencies,
  { id, predecessor }: IssueRequest,
): Promise<number> {
  return predecessor === null ? newestDenial({ store, deniedBefore }, id) : deniedBefore(id)
}

interface Work {
  readonly intent: IssuanceIntent
  readonly template: CertificateTemplate
  readonly anchor: ActiveAnchor
  readonly request: IssueRequest
}

async function complete(dependencies: IssueDependencies, work: Work): Promise<IssuedCertificate | AuthorityRefusal> {
  const issued = await releasedOrVoid(dependencies, work)
  if (!isAuthorityRefusal(issued)) await dependencies.publish()
  return issued
}

async function releasedOrVoid(
  dependencies: IssueDependencies,
  work: Work,
): Promise<IssuedCertificate | AuthorityRefusal> {
  try {
    return await signAndRelease(dependencies, work)
  } catch (error) {
    await abandon(dependencies.context, work.intent)
    throw error
  }
}

async function signAndRelease(
  dependencies: IssueDependencies,
  work: Work,
): Promise<IssuedCertificate | AuthorityRefusal> {
  const { context } = dependencies
  const { intent, template, anchor } = work
  const { serial, id, notAfter } = intent
  await context.log.append({
    kind: 'issuance',
    body: {
      phase: 'intent',
      serial,
      id,
      occasion: work.request.occasion,
      anchor: intent.anchorKeyId,
      public_key: intent.publicKeyHash,
      not_after: notAfter,
    },
  })
  const certificate = await buildCertificate(template, lintingKey(anchor.key, context))
  const { fingerprint } = inspect(context, { certificate, intent, anchor, template })
  if (!(await context.store.issuance.commit(serial, fingerprint))) return removedMeanwhile(context, intent)
  await context.log.append({ kind: 'issuance', body: { phase: 'outcome', serial, id, outcome: 'issued', fingerprint } })
  const released = await release(context, work)
  if (released === 'void') return removedMeanwhile(context, intent)
  if (released !== 'locked') return { id, certificate, serial, fingerprint, notAfter, ...released }
  await abandon(context, intent)
  return refuse('instance_locked', `instance ${intent.instance} was locked meanwhile`)
}

async function release(
  { store: { issuance }, clock }: AuthorityContext,
  { intent: { serial }, request: { states } }: Work,
): Promise<Pick<IssuedCertificate, 'stateNumber'> | 'locked' | 'void'> {
  if (states === undefined) return (await issuance.release(serial)) ? { stateNumber: null } : 'void'
  const handedOut = await issuance.handOut(serial, states.next, nowSeconds({ clock }))
  return typeof handedOut === 'number' ? { stateNumber: handedOut } : handedOut
}

async function removedMeanwhile(context: AuthorityContext, intent: IssuanceIntent): Promise<AuthorityRefusal> {
  await abandon(context, intent)
  const removed = (await context.store.registrations.find(intent.id)) === null
  return refuse(
    removed ? 'identity_unregistered' : 'certificate_denied',
    `${intent.id} was ${removed ? 'removed' : 'denied'} while its certificate was made`,
  )
}

/** What fails here is done by the next start: the serial stays without outcome until then, and its certificate was never handed out. */
async function abandon(context: AuthorityContext, intent: IssuanceIntent): Promise<void> {
  try {
    await voidSerial(context, intent)
  } catch {
    return
  }
}

/**
 * On record first: a crash in between repeats the entry, and no serial is denied that the record does not know as void. What
 * the store has released although it could not say so is denied as well: nobody was given it.
 */
async function voidSerial(
  { store, log, clock }: AuthorityContext,
  { serial, id, notAfter }: IssuanceIntent,
): Promise<void> {
  await log.append({ kind: 'issuance', body: { phase: 'outcome', serial, id, outcome: 'void' } })
  const now = nowSeconds({ clock })
  if (await store.issuance.void(serial, now)) return
  const lapsesAt = epochSeconds(notAfter + denialMarginSeconds)
  const reason = 'issuance without outcome'
  await store.denials.deny({ kind: 'serial', value: serial, issuedBefore: now, lapsesAt, reason })
}

/** Start-up: serials without outcome are voided and denied; how many. */
export async function voidOpenIssuance(context: AuthorityContext): Promise<number> {
  const open = await context.store.issuance.open(context.instance)
  for (const intent of open) await voidSerial(context, intent)
  return open.length
}

interface Content {
  readonly registration: Registration
  readonly names: CertificateNames
  readonly anchor: ActiveAnchor
  readonly publicKey: Uint8Array
  readonly now: EpochSeconds
  readonly deniedBefore: number
}

/** A certificate that follows a denial of its identity is dated at or after it, or it would be refused itself. */
function templateFor(
  { random }: AuthorityContext,
  { registration, names, anchor, publicKey, now, deniedBefore }: Content,
): CertificateTemplate {
  const issuedAt = Math.max(now, deniedBefore)
  return svidTemplate({
    spiffeId: parseSpiffeId(registration.id),
    publicKey,
    serial: newSerial(random),
    notBefore: epochSeconds(issuedAt - backdatingSeconds),
    notAfter: epochSeconds(Math.min(now + registration.ttlSeconds, anchor.slot.notAfter)),
    issuer: anchor.issuer,
    dnsNames: names.dnsNames,
    ipAddresses: names.ipAddresses,
  })
}

function intentOf(
  context: AuthorityContext,
  work: {
    readonly request: IssueRequest
    readonly template: CertificateTemplate
    readonly anchor: ActiveAnchor
    readonly now: EpochSeconds
  },
): IssuanceIntent {
  const { template, request, now } = work
  return {
    serial: template.serial,
    id: request.id,
    anchorKeyId: work.anchor.slot.keyId,
    authority: context.instance,
    instance: request.instance,
    predecessor: request.predecessor,
    publicKeyHash: toBase64url(context.sha256(request.publicKey)),
    notBefore: template.notBefore,
    notAfter: template.notAfter,
    intendedAt: now,
  }
}

interface Signed {
  readonly certificate: Uint8Array
  readonly intent: IssuanceIntent
  readonly anchor: ActiveAnchor
  readonly template: CertificateTemplate
}

/** Reads what was signed as a stranger would, and compares it with what was meant. */
function inspect(context: AuthorityContext, { certificate, intent, anchor, template }: Signed): PeerCertificate {
  const read = checkProfile(certificate, context)
  const chain = chainsToAnchor(read, [anchor.certificate], intent.intendedAt, context.importP256)
  if ('code' in chain) throw unfit(chain.code, chain.message)
  const same =
    read.spiffeId?.uri === intent.id &&
    read.serial === intent.serial &&
    read.notBefore === intent.notBefore &&
    read.notAfter === intent.notAfter &&
    equalBytes(read.publicKeySpki, template.publicKey)
  if (!same) throw unfit('certificate_differs', 'the certificate does not say what was meant')
  return read
}
