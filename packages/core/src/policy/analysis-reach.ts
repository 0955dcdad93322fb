/** What a policy may apply to, kind by kind and tool by tool, by what is known of the servers. */

import { actionTable } from './action.ts'
import { ownRoutes, ownServers } from './builtin.ts'
import type { Constraint, Policy } from './cedar/expression.ts'
import { mayBeFalse, outcomesOfPolicy, someEntity, unknown } from './cedar/possible.ts'
import type { PartialWorld } from './cedar/possible.ts'
import { EntityUid } from './cedar/value.ts'
import { noValues } from './cedar/world.ts'
import type { Entity } from './cedar/world.ts'
import type { ActionGroup, ResourceKind } from './decision.ts'
import { entityTypes, takesArguments } from './schema.ts'

/** What the configuration says about what there is. */
export interface KnownWorld {
  /** Configured servers and our own API. */
  readonly servers: ReadonlySet<string>
  /** Names of the tools of each server whose tools are known. */
  readonly tools: ReadonlyMap<string, readonly string[]>
  readonly effectOf: (server: string, tool: string) => 'read' | 'write' | 'admin'
}

/** A use of an action; with `name` null of one or other item of the kind. */
interface Use {
  readonly action: string
  readonly group: ActionGroup
  readonly kind: ResourceKind
  readonly server: string
  readonly name: string | null
}

function worldOf({ action, group, kind, server, name }: Use): PartialWorld {
  const actionUid = new EntityUid('Action', action)
  const groups = new Set((actionTable.get(action)?.uses ?? []).map((use) => new EntityUid('Action', use.group).key))
  const serverUid = new EntityUid('Server', server)
  const known =
    kind === 'server' ? serverUid : name === null ? null : new EntityUid(entityTypes[kind], `${server}/${name}`)
  const ancestors = new Set(kind === 'server' ? [] : [serverUid.key])
  const entity = (uid: EntityUid): Entity | null => {
    if (uid.key === actionUid.key) return { attributes: noValues, tags: noValues, ancestors: groups }
    if (uid.key !== known?.key) return null
    return { attributes: new Map([['name', name ?? '']]), tags: noValues, ancestors }
  }
  const context = new Map<string, ReturnType<PartialWorld['context']['get']> & {}>(
    ['strength', 'address', 'time', 'delegation'].map((part) => [part, unknown]),
  )
  context.set('effect', group)
  if (takesArguments.has(action)) context.set('args', unknown)
  const resource = known ?? someEntity(entityTypes[kind], ancestors)
  return { principal: unknown, action: actionUid, resource, context, entity }
}

/** The servers that a policy's scope is confined to; null when it is not. */
export function serversOf({ resource }: Policy): ReadonlySet<string> | null {
  const named = namedIn(resource)
  return named === null
    ? null
    : new Set(named.map(({ type, id }) => (type === 'Server' ? id : (id.split('/', 1)[0] ?? ''))))
}

function namedIn(constraint: Constraint): readonly EntityUid[] | null {
  if (constraint.kind === 'any') return null
  if (constraint.kind === 'equal') return [constraint.uid]
  if (constraint.kind === 'in') return constraint.uids
  return constraint.within === null ? null : [constraint.within]
}

const toolGroups = ['read', 'write', 'admin'] as const
type ToolGroup = (typeof toolGroups)[number]

/** What policies may apply to in a known world; keeps what it has made of each use, for the next policy. */
export class Reach {
  readonly known: KnownWorld
  readonly #worlds = new Map<string, PartialWorld>()

  constructor(known: KnownWorld) {
    this.known = known
  }

  /** Tools of the server that it may apply to, each in the group that its effect says; those of some effects alone. */
  *toolsOf(policy: Policy, server: string, effects: readonly ToolGroup[] = toolGroups): Iterable<string> {
    const groups = new Set<ActionGroup>(effects.filter((group) => this.#mayCall(policy, server, group)))
    if (groups.size === 0) return
    const { tools, effectOf } = this.known
    for (const name of tools.get(server) ?? []) {
      const group = effectOf(server, name)
      if (!groups.has(group)) continue
      if (this.#mayApply(policy, { action: 'tools/call', group, kind: 'tool', server, name })) yield name
    }
  }

  /** Some tool of a server whose tools are not known; `server` need not be configured. */
  reachesUnknownTool(policy: Policy, server: string): boolean {
    return toolGroups.some((group) => this.#mayCall(policy, server, group))
  }

  /** Some item, besides sessions, of a server that has that name; it need not be configured. */
  reachesSomething(policy: Policy, server: string): boolean {
    for (const { name: action, uses } of actionTable.values()) {
      for (const { group, kinds } of uses) {
        // Outside our own API no route counts as admin.
        if (group === 'session' || (group === 'admin' && !kinds.includes('tool'))) continue
        if (kinds.some((kind) => this.#mayApply(policy, { action, group, kind, server, name: null }))) return true
      }
    }
    return false
  }

  /** Whether there is anything in the known world that the policy may apply to. */
  mayEverApply(policy: Policy): boolean {
    const named = serversOf(policy)
    for (const server of this.known.servers) {
      if (named?.has(server) === false) continue
      if (ownServers.includes(server) ? this.#reachesOwn(policy, server) : this.#reaches(policy, server)) return true
    }
    return false
  }

  #reachesOwn(policy: Policy, server: string): boolean {
    return ownRoutes.some(({ server: of, method, path, group }) => {
      const name = path.slice(1)
      return of === server && this.#mayApply(policy, { action: method, group, kind: 'route', server, name })
    })
  }

  #reaches(policy: Policy, server: string): boolean {
    const listed = this.known.tools.has(server)
    for (const { name: action, uses } of actionTable.values()) {
      for (const { group, kinds } of uses) {
        for (const kind of kinds) {
          if (kind === 'tool' && listed) continue
          if (this.#mayApply(policy, { action, group, kind, server, name: kind === 'server' ? '' : null })) return true
        }
      }
    }
    for (const _ of this.toolsOf(policy, server)) return true
    return false
  }

  #mayCall(policy: Policy, server: string, group: ActionGroup): boolean {
    return this.#mayApply(policy, { action: 'tools/call', group, kind: 'tool', server, name: null })
  }

  /** It applies, or fails, for somebody with some arguments at some time. */
  #mayApply(policy: Policy, use: Use): boolean {
    const { action, group, kind, server, name } = use
    const key = `${action} ${group} ${kind} ${server} ${name === null ? '' : `/${name}`}`
    let world = this.#worlds.get(key)
    if (world === undefined) this.#worlds.set(key, (world = worldOf(use)))
    return (outcomesOfPolicy(policy, world) & ~mayBeFalse) !== 0
  }
}
