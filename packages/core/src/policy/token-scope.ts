/**
 * Scopes of our tokens: permissions that narrow what policy allows, and allow nothing themselves. They are compared exactly:
 * one is within another when every call that it covers is covered by the other, too. What cannot be compared is not within.
 */

import { DoorwardError } from '../error.ts'
import { actionTable } from './action.ts'
import { ownServers } from './builtin.ts'
import { reachesOwnApi } from './compile.ts'
import type { Action, Resource, SomeRequest } from './decision.ts'
import { matchesName } from './name-pattern.ts'
import { parsePermission, permissionCovers } from './permission.ts'
import type { Permission, PermissionVerb } from './permission.ts'

export type TokenScope = readonly string[]

/** Never throws: the permissions, or what is wrong with one of them. */
export function readTokenScope(scope: TokenScope): readonly Permission[] | { readonly problem: string } {
  try {
    return scope.map((text) => parsePermission(text, 'scope'))
  } catch (error) {
    if (error instanceof DoorwardError) return { problem: error.message }
    throw error
  }
}

/** The same array is the scope of all requests with one token. */
const read = new WeakMap<TokenScope, readonly Permission[]>()

function permissionsOf(scope: TokenScope): readonly Permission[] {
  const known = read.get(scope)
  if (known !== undefined) return known
  const permissions = readTokenScope(scope)
  // Covers nothing.
  const made = 'problem' in permissions ? [] : permissions
  read.set(scope, made)
  return made
}

/** As permissions of roles do: one that names no server is about our own API only where its verb is. */
function reaches({ scope, verb }: Permission, server: string): boolean {
  return scope === null ? reachesOwnApi(verb) || !ownServers.includes(server) : scope.server === server
}

/** Sessions, discovery and lists are allowed wherever anything is. */
export function scopeCovers(scope: TokenScope, action: Action, resource: Resource): boolean {
  return permissionsOf(scope).some(
    (permission) =>
      reaches(permission, resource.server) &&
      (action.group === 'session' || permissionCovers(permission, action, resource)),
  )
}

/** False when it covers the action on nothing of the server, whatever it is called. */
export function scopeMayCover(scope: TokenScope, { action, server }: Pick<SomeRequest, 'action' | 'server'>): boolean {
  return permissionsOf(scope).some(
    (permission) =>
      reaches(permission, server) &&
      (action.group === 'session' || permissionCovers({ ...permission, scope: null }, action, anything(server))),
  )
}

function anything(server: string): Resource {
  return { server, kind: 'server', name: '' }
}

/** The first permission that is within none of the others; null when the scope is no wider. */
export function widerPermission(inner: readonly Permission[], outer: readonly Permission[]): Permission | null {
  return inner.find((one) => !outer.some((other) => isWithin(one, other))) ?? null
}

function isWithin(inner: Permission, outer: Permission): boolean {
  if (!verbWithin(inner.verb, outer.verb)) return false
  if (outer.scope === null) return inner.scope === null || reaches(outer, inner.scope.server)
  if (inner.scope?.server !== outer.scope.server) return false
  // No name has this character, so that only a star of the outer pattern matches a star of the inner one.
  return matchesName(outer.scope.name, inner.scope.name.text.replaceAll('*', '\0'))
}

function verbWithin(inner: PermissionVerb, outer: PermissionVerb): boolean {
  if (outer.kind === 'any') return true
  if (outer.kind === 'action') return inner.kind === 'action' && inner.action === outer.action
  if (inner.kind === 'group') return inner.group === outer.group
  if (inner.kind === 'any') return false
  const uses = actionTable.get(inner.action)?.uses.filter(({ group }) => group !== 'session') ?? []
  return uses.length > 0 && uses.every(({ group }) => group === outer.group)
}
