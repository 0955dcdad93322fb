/** An authority that will not come back: it is not named any more, and its anchors leave the bundle. */

import type { AuthorityContext } from './context.ts'
import { refuse } from './refusal.ts'
import type { AuthorityRefusal } from './refusal.ts'
import type { Change } from './registrations.ts'

/**
 * Forgets an authority that does not run; its name is free again. What it has issued is refused from then on. Refusals:
 * `resource_unknown`, `conflict` while it runs.
 */
export async function forgetAuthority(
  context: AuthorityContext,
  name: string,
  { by, publish }: Change,
): Promise<{ readonly forgotten: string } | AuthorityRefusal> {
  const { store, clock, log } = context
  const entry = (await store.leases.list(clock())).find((one) => one.name === name)
  if (entry === undefined) return refuse('resource_unknown', `no authority is named ${name}`)
  if (entry.live) return refuse('conflict', `authority ${name} runs: stop it first`)
  await log.append({ kind: 'admin', body: { change: 'authority.forget', name, instance: entry.instance, by } })
  if (!(await store.leases.forget(name, clock()))) return refuse('conflict', `authority ${name} runs: stop it first`)
  await publish()
  return { forgotten: name }
}
