/** Single instances of a workload: a lock or a removal hits one of them, not all of a name (reference id OP-10). */

import { nowSeconds } from './context.ts'
import type { Instance } from './ports.ts'
import { isAuthorityRefusal, refuse } from './refusal.ts'
import type { AuthorityRefusal } from './refusal.ts'
import type { Change, RegistryContext } from './registrations.ts'

export interface InstanceTarget {
  readonly id: string
  readonly instance: string
  /** Why, in the operator's words; on record. */
  readonly reason: string
}

/**
 * Denies what the instance holds, and lets it neither renew nor return. It stays known, so that its key stays refused.
 * Refusals: `resource_unknown`; `conflict` with the reason `locked`.
 */
export async function lockInstance(
  context: RegistryContext,
  target: InstanceTarget,
  change: Change,
): Promise<Instance | AuthorityRefusal> {
  const held = await find(context, target)
  if (isAuthorityRefusal(held)) return held
  if (held.locked !== null) return refuse('conflict', `instance ${held.instance} is locked`, { reason: 'locked' })
  await record(context, 'instance.lock', target, change)
  if (!(await context.store.instances.lock(target.instance, target.reason, nowSeconds(context))))
    return refuse('conflict', `instance ${held.instance} is locked or gone`, { reason: 'locked' })
  await change.publish()
  return held
}

/** Denies what the instance holds and forgets its key; it may join anew as any other may. Refusal: `resource_unknown`. */
export async function removeInstance(
  context: RegistryContext,
  target: InstanceTarget,
  change: Change,
): Promise<Instance | AuthorityRefusal> {
  const held = await find(context, target)
  if (isAuthorityRefusal(held)) return held
  await record(context, 'instance.remove', target, change)
  if (!(await context.store.instances.remove(target.instance, target.reason, nowSeconds(context))))
    return unknownInstance(target)
  await change.publish()
  return held
}

async function find({ store }: RegistryContext, target: InstanceTarget): Promise<Instance | AuthorityRefusal> {
  const held = await store.instances.find(target.instance)
  return held === null || held.id !== target.id ? unknownInstance(target) : held
}

function unknownInstance({ id, instance }: InstanceTarget): AuthorityRefusal {
  return refuse('resource_unknown', `${id} has no instance ${instance}`)
}

async function record(
  { log }: RegistryContext,
  name: string,
  { id, instance, reason }: InstanceTarget,
  { by }: Change,
): Promise<void> {
  await log.append({ kind: 'admin', body: { change: name, id, instance, reason, by } })
}
