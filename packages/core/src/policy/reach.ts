/** To what a policy may apply, whoever calls and whatever the context. */

import { actionTable } from './action.ts'
import { ownRoutes, ownServers } from './builtin.ts'
import type { Policy } from './cedar/expression.ts'
import { mayBeFalse, outcomesOfPolicy, someEntity, unknown } from './cedar/possible.ts'
import type { Open, PartialWorld } from './cedar/possible.ts'
import { EntityUid } from './cedar/value.ts'
import { noValues } from './cedar/world.ts'
import type { Entity } from './cedar/world.ts'

interface Reached {
  /** Null for one that is not known. */
  readonly action: string | null
  readonly resource: EntityUid | Open
  readonly server: string | null
  readonly name: string | null
}

/** It applies, or fails, for somebody in some context. */
function mayApply(policy: Policy, { action, resource, server, name }: Reached): boolean {
  const actionUid = action === null ? unknown : new EntityUid('Action', action)
  const uses = action === null ? [] : (actionTable.get(action)?.uses ?? [])
  const groups = new Set(uses.map(({ group }) => new EntityUid('Action', group).key))
  const above = server === null ? null : new EntityUid('Server', server)
  const entity = (uid: EntityUid): Entity | null => {
    if (actionUid instanceof EntityUid && uid.key === actionUid.key)
      return { attributes: noValues, tags: noValues, ancestors: groups }
    if (above === null) return null
    if (uid.key === above.key) return named('', [])
    return resource instanceof EntityUid && uid.key === resource.key && name !== null ? named(name, [above.key]) : null
  }
  /** Whoever calls exists, and so does what is called. */
  const opaque = ({ type }: EntityUid) =>
    type === 'Workload' || type === 'User' || (!(resource instanceof EntityUid) && type === resource.some?.type)
  const world: PartialWorld = { principal: unknown, action: actionUid, resource, context: anyContext, entity, opaque }
  return (outcomesOfPolicy(policy, world) & ~mayBeFalse) !== 0
}

function named(name: string, ancestors: readonly string[]): Entity {
  return { attributes: new Map([['name', name]]), tags: noValues, ancestors: new Set(ancestors) }
}

const anyContext: PartialWorld['context'] = new Map(
  ['effect', 'strength', 'address', 'time', 'delegation', 'args'].map((name) => [name, unknown]),
)

/** The tool of that name; with null, one or other tool of the server that is not known. */
export function mayApplyToTool(policy: Policy, server: string, name: string | null): boolean {
  if (name !== null) {
    const resource = new EntityUid('Tool', `${server}/${name}`)
    return mayApply(policy, { action: 'tools/call', resource, server, name })
  }
  const { resource } = policy
  if (resource.kind === 'equal' && !resource.uid.id.startsWith(`${server}/`)) return false
  const some = someEntity('Tool', new Set([new EntityUid('Server', server).key]))
  return mayApply(policy, { action: 'tools/call', resource: some, server, name })
}

export function mayApplyToPrompt(policy: Policy, server: string): boolean {
  const some = someEntity('Prompt', new Set([new EntityUid('Server', server).key]))
  return mayApply(policy, { action: 'prompts/get', resource: some, server, name: null })
}

/** Whether it permits a route of our own API without having named that API as its resource. */
export function reachesOwnApi(policy: Policy): boolean {
  if (policy.effect === 'forbid' || namesOwnApi(policy)) return false
  return ownRoutes.some(({ server, method, path }) => {
    const name = path.slice(1)
    const resource = new EntityUid('Route', `${server}/${name}`)
    return mayApply(policy, { action: method, resource, server, name })
  })
}

function namesOwnApi({ resource }: Policy): boolean {
  const named = resource.kind === 'equal' ? [resource.uid] : resource.kind === 'in' ? resource.uids : []
  const within = resource.kind === 'is' && resource.within !== null ? [resource.within] : named
  return within.some(({ type, id }) => ownServers.includes(type === 'Server' ? id : id.slice(0, id.indexOf('/'))))
}

const kinds = ['Tool', 'Prompt', 'Resource', 'Task', 'Route'] as const

/** Something on the server, whatever it is called. */
export function mayApplyToServer(policy: Policy, server: string): boolean {
  const { resource } = policy
  if (resource.kind === 'equal' && resource.uid.type !== 'Server' && !resource.uid.id.startsWith(`${server}/`))
    return false
  const above = new Set([new EntityUid('Server', server).key])
  return kinds.some((kind) => mayApply(policy, { action: null, resource: someEntity(kind, above), server, name: null }))
}
