/** Permissions as operators write them: `<group or action>[:<server>/<name>]`. */

import { DoorwardError } from '../error.ts'
import { actionTable } from './action.ts'
import type { Action, Resource } from './decision.ts'
import { matchesName, nameProblem, readNamePattern } from './name-pattern.ts'
import type { NamePattern } from './name-pattern.ts'

/** `any` is written `*`: every group. A group never includes another: `write` alone does not read. */
export type PermissionVerb =
  | { readonly kind: 'any' }
  | { readonly kind: 'group'; readonly group: 'read' | 'write' | 'admin' }
  | { readonly kind: 'action'; readonly action: string }

export interface Permission {
  readonly text: string
  readonly verb: PermissionVerb
  /** Null: all configured servers (and, for `admin` and `*` alone, our own API). */
  readonly scope: { readonly server: string; readonly name: NamePattern } | null
}

const serverName = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/

/** 1 to 64 of `A-Z a-z 0-9 . _ -`, starting with a letter or digit. */
export function isServerName(text: string): boolean {
  return serverName.test(text)
}

function readVerb(text: string): PermissionVerb | null {
  if (text === '*') return { kind: 'any' }
  if (text === 'read' || text === 'write' || text === 'admin') return { kind: 'group', group: text }
  return actionTable.has(text) ? { kind: 'action', action: text } : null
}

function invalid(where: string, problem: string, got: string, next?: string): DoorwardError {
  return new DoorwardError('permission_invalid', `not a permission: ${problem}`, {
    where,
    expected: 'read, write, admin, * or an action such as tools/call, optionally followed by :<server>/<name>',
    got: JSON.stringify(got.slice(0, 120)),
    ...(next === undefined ? {} : { next }),
  })
}

/**
 * Parses a permission such as `read:files/*`, `tools/call:github/get_*` or `GET:orders/v1/*`. The first colon ends
 * the action, the first slash after it ends the server; the rest is the name, in which `*` stands for any
 * characters. Does not check that the server exists. Throws `permission_invalid`; `where` names the place in the
 * configuration.
 */
export function parsePermission(text: string, where = 'permission'): Permission {
  const colon = text.indexOf(':')
  const word = colon < 0 ? text : text.slice(0, colon)
  const verb = readVerb(word)
  if (verb === null) throw invalid(where, `unknown group or action ${JSON.stringify(word.slice(0, 60))}`, text)
  if (colon < 0) return { text, verb, scope: null }
  const rest = text.slice(colon + 1)
  const slash = rest.indexOf('/')
  if (slash < 0) throw invalid(where, 'a server without a name', text, `write ${word}:${rest}/* for the whole server`)
  const server = rest.slice(0, slash)
  if (!isServerName(server)) throw invalid(where, 'a server name that is not allowed', text)
  const name = readNamePattern(rest.slice(slash + 1))
  if ('problem' in name) throw invalid(where, name.problem, text)
  return { text, verb, scope: { server, name } }
}

/** The name by which permissions and policies know the resource: as given, a route path without its first slash. */
export function resourceName(resource: Resource): string {
  return resource.kind === 'route' && resource.name.startsWith('/') ? resource.name.slice(1) : resource.name
}

/** Whether the call is one of those that the permission names. */
export function permissionCovers({ verb, scope }: Permission, action: Action, resource: Resource): boolean {
  if (verb.kind === 'group' && verb.group !== action.group) return false
  if (verb.kind === 'action' && verb.action !== action.name) return false
  return scope === null || (scope.server === resource.server && matchesName(scope.name, resourceName(resource)))
}

/**
 * The narrowest permission that would allow the action on the resource, for denials; null when none can be
 * written. A name with `*` has none: proposing it would propose more than was asked.
 */
export function permissionFor(action: Action, resource: Resource): string | null {
  if (!actionTable.has(action.name) || !isServerName(resource.server)) return null
  const name = resourceName(resource)
  if (name === '') return `${action.name}:${resource.server}/*`
  return nameProblem(name) === null && !name.includes('*') ? `${action.name}:${resource.server}/${name}` : null
}
