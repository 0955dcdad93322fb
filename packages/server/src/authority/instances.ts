/** Instances of one workload: how they begin, and what a return of one that has ended means (reference ids DT-2, OP-10). */

import { hex } from '@doorward/core'
import type { P256Jwk } from '@doorward/core'
import type { AttestationKind } from './attest/rule.ts'
import { nowSeconds } from './context.ts'
import type { AuthorityContext } from './context.ts'
import { raiseDetection } from './detection.ts'
import type { Binding, Bound, Instance, Registration } from './ports.ts'
import { refuse } from './refusal.ts'
import type { AuthorityRefusal } from './refusal.ts'

/** Copies of one workload. */
const MAX_INSTANCES = 256
const INSTANCE_BYTES = 8
const replacedReason = 'replaced by a new instance'

export function newBinding(context: AuthorityContext, machineKey: P256Jwk, attestedBy: AttestationKind): Binding {
  return {
    instance: hex(context.random(INSTANCE_BYTES)),
    machineKey,
    attestedBy,
    now: nowSeconds(context),
    limit: MAX_INSTANCES,
    reason: replacedReason,
  }
}

/** The refusal of an instance that is locked. One that was replaced and comes back all the same is a detection (DT-2). */
export async function lockedRefusal(context: AuthorityContext, held: Instance): Promise<AuthorityRefusal> {
  const { id, instance, locked } = held
  const why = locked?.reason ?? 'it has ended'
  if (why === replacedReason)
    await raiseDetection(context, {
      detector: 'DT-2',
      subject: id,
      detail: `instance ${instance} was replaced at ${locked?.at} and has come back; it is refused`,
    })
  return refuse('instance_locked', `instance ${instance} of ${id} is locked: ${why}`)
}

/** Two instances alive of a workload that has one only (DT-2): the earlier may not know that it has ended. */
export async function reportReplaced(
  context: AuthorityContext,
  { id, singleInstance, ttlSeconds }: Registration,
  { bound, earlier }: { readonly bound: Bound; readonly earlier: readonly Instance[] },
): Promise<void> {
  if (!singleInstance) return
  const now = nowSeconds(context)
  const alive = earlier.filter(({ instance, seenAt }) => bound.replaced.includes(instance) && seenAt + ttlSeconds > now)
  for (const { instance, seenAt } of alive)
    await raiseDetection(context, {
      detector: 'DT-2',
      subject: id,
      detail: `instance ${bound.instance} has joined while ${instance}, seen ${now - seenAt} s ago, was alive; that one has ended`,
    })
}
