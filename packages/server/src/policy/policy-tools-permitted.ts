/** Everything that somebody may do, item by item where the items are known, and kind by kind where they are not. */

import { actionTable, ownRoutes, ownServers, prospectOf } from '@doorward/core'
import type { ActionGroup, DecisionRequest, KnownNames, PolicyExplainer, Prospect, ResourceKind } from '@doorward/core'
import { principalOf } from './policy-tools-question.ts'
import type { Question } from './policy-tools-question.ts'

export interface AskedList extends Pick<Question, 'roles' | 'behalf'> {
  /** Null for whoever presents it, where it is asked what a user may do. */
  readonly presenter: string | null
  /** As the address: null when it is not known. */
  readonly timeSeconds: number | null
  readonly address: string | null
}

export interface Permitted extends Prospect {
  /** `server/name`, `server/*` for items that are not known, or the server. */
  readonly item: string
  /** One item, as opposed to one or other of a kind. */
  readonly known: boolean
  /** Those of which the same is to be said. */
  readonly actions: readonly string[]
  readonly group: ActionGroup
}

export interface PermittedList {
  readonly principal: string
  /** By registration as it was told, and by bindings. */
  readonly roles: readonly string[]
  readonly items: readonly Permitted[]
}

interface Item {
  readonly action: string
  readonly group: ActionGroup
  readonly kind: ResourceKind
  readonly server: string
  readonly name: string | null
}

/** Throws `spiffe_id_invalid`. */
export function permitted(explainer: PolicyExplainer, known: KnownNames, asked: AskedList): PermittedList {
  const { presenter } = asked
  const principal = principalOf({ ...asked, presenter: presenter ?? 'anybody', through: [] }, known)
  const { timeSeconds, address } = asked
  const context = { args: undefined, timeSeconds: timeSeconds ?? 0, remoteAddress: address ?? '127.0.0.1' }
  const items = itemsOf(known).map((item): Permitted => {
    const { action, group, kind, server, name } = item
    const resource = { server, kind, name: name ?? '' }
    const request: DecisionRequest = { principal, action: { name: action, group }, resource, context }
    const unknowns = {
      name: name === null,
      time: timeSeconds === null,
      address: address === null,
      presenter: presenter === null,
    }
    const prospect = prospectOf(explainer, known.servers, request, unknowns)
    return { item: nameOf(item), known: name !== null, actions: [action], group, ...prospect }
  })
  const { subject } = principal
  const user = subject.kind === 'user' ? `${subject.issuer}#${subject.subject}` : null
  const roles = presenter === null ? explainer.rolesOfSubject(principal) : explainer.rolesOf(principal)
  const name = presenter === null ? (user ?? 'anybody') : principal.presenter.uri
  return { principal: name, roles, items: together(items) }
}

/** One for all actions on the same item, in the same group and with the same answer. */
function together(items: readonly Permitted[]): readonly Permitted[] {
  const found = new Map<string, Permitted>()
  for (const one of items) {
    const { actions, ...rest } = one
    const key = JSON.stringify(rest)
    const before = found.get(key)
    found.set(key, before === undefined ? one : { ...one, actions: [...new Set([...before.actions, ...actions])] })
  }
  return [...found.values()]
}

function nameOf({ server, kind, name }: Item): string {
  if (kind === 'server') return server
  if (kind === 'route' && name !== null) return `${server}${name}`
  return `${server}/${name ?? '*'}`
}

function itemsOf(known: KnownNames): readonly Item[] {
  const servers = [...known.servers].filter((server) => !ownServers.includes(server))
  const own = ownRoutes.map(({ server, method, path, group }): Item => {
    return { action: method, group, kind: 'route', server, name: path }
  })
  return [...servers.flatMap((server) => [...itemsOfServer(server, known)]), ...own]
}

function* itemsOfServer(server: string, { tools, effectOf }: KnownNames): Iterable<Item> {
  const names = tools.get(server)
  for (const name of names ?? [])
    yield { action: 'tools/call', group: effectOf(server, name), kind: 'tool', server, name }
  for (const { name: action, uses } of actionTable.values()) {
    for (const { group, kinds } of uses) {
      for (const kind of kinds) {
        if (kind === 'tool' && names !== undefined) continue
        // Outside our own API no route counts as admin.
        if (kind === 'route' && group === 'admin') continue
        yield { action, group, kind, server, name: kind === 'server' ? '' : null }
      }
    }
  }
}
