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
  { id, instance, joinState }: Contact,
  publish: () => Promise<void>,
): Promise<AuthorityRefusal | null> {
  const { instances } = context.store
  const presented = await instances.present(instance, hashOf(context, joinState), nowSeconds(context))
  switch (presented) {
    case 'current':
    case 'confirmed':
      return null
    case 'regressed':
      return lockCopied(context, { id, instance, publish })
    case 'locked':
    case 'unknown': {
      const held = await instances.find(instance)
      return held === null
        ? refuse('join_refused', `instance ${instance} of ${id} has ended`)
        : lockedRefusal(context, held)
    }
  }
}

/** Null, too, for what was never a join state of ours. */
function hashOf({ sha256 }: AuthorityContext, joinState: Secret | null): string | null {
  const parts = joinState === null ? null : readJoinState(joinState.reveal())
  return parts === null ? null : toBase64url(sha256(utf8(parts.secret)))
}

async function lockCopied(
  context: AuthorityContext,
  { id, instance, publish }: { readonly id: string; readonly instance: string; readonly publish: () => Promise<void> },
): Promise<AuthorityRefusal> {
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

/**
 * A certificate and the join state that goes with it. An earlier pair that was never confirmed is withdrawn: its answer
 * was lost. Refusals: those of `issueCertificate`, and `instance_locked`.
 */
export async function issueWithState(
  dependencies: IssueDependencies,
  request: Omit<IssueRequest, 'whenReleased'> & { readonly instance: string },
): Promise<IssuedWithState | AuthorityRefusal> {
  const { context } = dependencies
  const { instance } = request
  const secret = toBase64url(context.random(STATE_BYTES))
  const hash = toBase64url(context.sha256(utf8(secret)))
  const locked = refuse('instance_locked', `instance ${instance} was locked meanwhile`)
  let number: number | null = null
  const whenReleased = async (serial: string) => {
    number = await context.store.instances.offer(instance, { hash, serial }, nowSeconds(context))
    return number === null ? locked : null
  }
  const issued = await issueCertificate(dependencies, { ...request, whenReleased })
  if (isAuthorityRefusal(issued)) return issued
  return { ...issued, joinState: new Secret(`${number}.${secret}`) }
}
