/** Rules about what is kept of which calls, compiled for one look-up per call. The first that matches decides. */

import type { Action, Resource } from '../policy/decision.ts'
import { matchesName } from '../policy/name-pattern.ts'
import type { Permission } from '../policy/permission.ts'
import type { KeepNode } from './member-paths.ts'

export interface KeepRule {
  /** Calls as permissions name them. */
  readonly calls: readonly Permission[]
  /** Null leaves arguments out. */
  readonly arguments: KeepNode | null
  readonly result: 'store' | 'hmac' | null
  readonly maxBytes: number
}

/** Server → the rules that may concern it, in their order. */
export type KeepRules = ReadonlyMap<string, readonly KeepRule[]>

/** Null without rules: then nothing is looked up. `servers`: all that are configured. */
export function compileKeepRules(rules: readonly KeepRule[], servers: readonly string[]): KeepRules | null {
  if (rules.length === 0) return null
  const byServer = servers.map(
    (server) =>
      [
        server,
        rules.filter(({ calls }) => calls.some(({ scope }) => scope === null || scope.server === server)),
      ] as const,
  )
  return new Map(byServer.filter(([, own]) => own.length > 0))
}

export function keepRuleFor(rules: KeepRules, action: Action, resource: Resource): KeepRule | null {
  // Our own APIs have no arguments of others, whatever a server is called.
  const own = resource.kind === 'route' ? undefined : rules.get(resource.server)
  return own?.find(({ calls }) => calls.some((call) => concerns(call, action, resource))) ?? null
}

function concerns({ verb, scope }: Permission, action: Action, { server, name }: Resource): boolean {
  if (verb.kind === 'group' && verb.group !== action.group) return false
  if (verb.kind === 'action' && verb.action !== action.name) return false
  return scope === null || (scope.server === server && matchesName(scope.name, name))
}

/** Whether calls of `later` are all taken by `earlier`, as far as both say it in the same words. */
export function takesAll(earlier: Permission, later: Permission): boolean {
  const { verb, scope } = earlier
  const same =
    (verb.kind === 'group' && later.verb.kind === 'group' && verb.group === later.verb.group) ||
    (verb.kind === 'action' && later.verb.kind === 'action' && verb.action === later.verb.action)
  if (verb.kind !== 'any' && !same) return false
  if (scope === null) return true
  return later.scope !== null && scope.server === later.scope.server && matchesName(scope.name, later.scope.name.text)
}
