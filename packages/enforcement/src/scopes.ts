/** Scopes of a token at the edge: they narrow what policy allows, and allow nothing themselves. */

import type { Action, ActionGroup, Resource } from '@doorward/core'

/** What a group needs: the scope of its own name, or a stronger one. */
const covering: Readonly<Record<ActionGroup, readonly string[]>> = {
  session: ['read', 'write', 'admin'],
  read: ['read', 'write', 'admin'],
  write: ['write', 'admin'],
  admin: ['admin'],
}

/** `<server>:read`, `<server>:write`, `<server>:admin`. */
export function scopeOf(server: string, group: ActionGroup): string {
  return `${server}:${covering[group][0]}`
}

/**
 * Null when one of the scopes covers the action on the server; else all that a token needs for it: what of this server it
 * has already, and the weakest scope that is missing.
 */
export function missingScope(
  scopes: readonly string[],
  { action, resource }: { readonly action: Action; readonly resource: Resource },
): string | null {
  const { server } = resource
  if (covering[action.group].some((group) => scopes.includes(`${server}:${group}`))) return null
  const own = scopes.filter((scope) => scope === `${server}:read` || scope === `${server}:write`)
  return [...own, scopeOf(server, action.group)].join(' ')
}
