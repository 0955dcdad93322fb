/**
 * Join states (reference id BS-2): with every certificate an instance gets a random state, shows it the next time, and
 * gets another. Two copies of one key cannot both have the newest: whoever shows one from the past was copied, or is the
 * copy. Judged only after the key has proven itself, so that no stranger can lock anybody out.
 */

import { readJoinState, Secret, toBase64url, utf8 } from '@doorward/core'
import { nowSeconds } from './context.ts'
import type { AuthorityContext } from './context.ts'
import { raiseDetection } from './detection.ts'
import { lockedRefusal } from './instances.ts'
import { issueCertificate } from './issue.ts'
import type { IssueDependencies, IssueRequest, IssuedCertificate } from './issue.ts'
import { isAuthorityRefusal, refuse } from './refusal.ts'
import type { AuthorityRefusal } from './refusal.ts'

const STATE_BYTES = 32

/** What an instance shows when it comes back. */
export interface Contact {
  readonly id: string
  readonly instance: string
  /** Null when it says that it has none yet. */
  readonly joinState: Secret | null
}

/**
 * Null when the instance may go on. A state from the past is a detection (DT-3) and locks this instance: what it holds
 * is denied, and other instances of the identity go on (OP-10). Refusals: `instance_locked`, `join_refused`.
 */
export async function presentJoinState(
  context: AuthorityContext,
  contact: Contact,
  publish: () => Promise<void>,
): Promise<AuthorityRefusal | null> {
  const { instance, joinState } = contact
  const hash = hashOf(context, joinState)
  const presented = await context.store.instances.present(instance, hash, nowSeconds(context))
  return presented === 'current' || presented === 'confirmed'
    ? null
    : refusePresented(context, presented, { ...contact, publish })
}

type Place = Pick<Contact, 'id' | 'instance'> & { readonly publish: () => Promise<void> }

async function refusePresented(
  context: AuthorityContext,
  presented: 'regressed' | 'locked' | 'unknown',
  place: Place,
): Promise<AuthorityRefusal> {
  if (presented === 'regressed') return lockCopied(context, place)
  const { id, instance } = place
  const held = await context.store.instances.find(instance)
  return held === null
    ? refuse('join_refused', `instance ${instance} of ${id} has ended`)
    : lockedRefusal(context, held)
}

/** Null, too, for what was never a join state of ours. */
function hashOf({ sha256 }: AuthorityContext, joinState: Secret | null): string | null {
  const parts = joinState === null ? null : readJoinState(joinState.reveal())
  return parts === null ? null : toBase64url(sha256(utf8(parts.secret)))
}

async function lockCopied(context: AuthorityContext, { id, instance, publish }: Place): Promise<AuthorityRefusal> {
  const reason = 'a join state from the past was shown'
  await raiseDetection(context, {
    detector: 'DT-3',
    subject: `${id}#${instance}`,
    detail: `${reason}: the key of this instance is in use in two places; it is locked`,
  })
  await context.store.instances.lock(instance, reason, nowSeconds(context))
  await publish()
  return refuse('instance_locked', `${reason} by instance ${instance} of ${id}`)
}

export interface IssuedWithState extends IssuedCertificate {
  readonly joinState: Secret
}

export interface RequestWithState extends Omit<IssueRequest, 'states'> {
  readonly instance: string
  /** What it shows now; absent when that was judged before (`presentJoinState`). */
  readonly joinState?: Secret | null
}

/**
 * A certificate and the join state that goes with it. An earlier pair that was never confirmed is withdrawn: its answer
 * was lost. Refusals: those of `issueCertificate`, and with a join state those of `presentJoinState`.
 */
export async function issueWithState(
  dependencies: IssueDependencies,
  { joinState, ...request }: RequestWithState,
): Promise<IssuedWithState | AuthorityRefusal> {
  const { context, publish } = dependencies
  const { id, instance } = request
  const secret = toBase64url(context.random(STATE_BYTES))
  const next = { instance, hash: toBase64url(context.sha256(utf8(secret))) }
  const states = {
    ...(joinState === undefined ? {} : { shown: { hash: hashOf(context, joinState) } }),
    next,
    refuse: (presented: 'regressed' | 'locked' | 'unknown') =>
      refusePresented(context, presented, { id, instance, publish }),
  }
  const issued = await issueCertificate(dependencies, { ...request, states })
  if (isAuthorityRefusal(issued)) return issued
  return { ...issued, joinState: new Secret(`${issued.stateNumber}.${secret}`) }
}
