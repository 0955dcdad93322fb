/** Turns roles, permissions and bindings into Cedar: one semantics, shown to operators as it is decided. */

import type { DoorwardError } from '../error.ts'
import { matchesSpiffeId } from '../identity/spiffe-id.ts'
import type { SpiffeId } from '../identity/spiffe-id.ts'
import { builtinPolicies, isOwnApi, ownServers } from './builtin.ts'
import { entity, nameCondition, quote, writePolicy } from './cedar-text.ts'
import type { CedarPolicy } from './cedar-text.ts'
import type { Permission, PermissionVerb } from './permission.ts'
import { policySchema } from './schema.ts'
import { judgeSource } from './source.ts'
import type { Binding, PolicySource, Role } from './source.ts'

/** One immutable policy, ready for an engine. */
export interface CompiledPolicy {
  /** Cedar text with the bindings and servers as comments: everything a decision depends on. */
  readonly text: string
  /** Cedar schema, human-readable syntax. */
  readonly schema: string
  /** Ids: `role:<role>/<index>`, `role:<role>/session`, `builtin:…`. Unique. */
  readonly policies: readonly CedarPolicy[]
  readonly bindings: readonly Binding[]
  /** Configured servers and our own API; every other server is denied. */
  readonly servers: ReadonlySet<string>
}

export type CompileResult =
  | { readonly ok: true; readonly policy: CompiledPolicy }
  | { readonly ok: false; readonly problems: readonly DoorwardError[] }

const everyGroup = ['admin', 'read', 'session', 'write'] as const

function verbParts(verb: PermissionVerb): { readonly action: string; readonly when: readonly string[] } {
  switch (verb.kind) {
    case 'any':
      return { action: `action in [${everyGroup.map((group) => entity('Action', group)).join(', ')}]`, when: [] }
    case 'group':
      return { action: `action in ${entity('Action', verb.group)}`, when: [`context.effect == ${quote(verb.group)}`] }
    case 'action':
      return { action: `action == ${entity('Action', verb.action)}`, when: [] }
  }
}

/** `admin` and `*` reach our own API without naming it; `read`, `write` and actions never do. */
function reachesOwnApi(verb: PermissionVerb): boolean {
  return verb.kind === 'any' || (verb.kind === 'group' && verb.group === 'admin')
}

function permissionPolicy(role: string, permission: Permission, index: number): CedarPolicy {
  const { scope, verb, text } = permission
  const { action, when } = verbParts(verb)
  const name = scope === null ? null : nameCondition(scope.name)
  return writePolicy({
    id: `role:${role}/${index}`,
    effect: 'permit',
    source: `${role}: ${text}`,
    principal: `principal in ${entity('Role', role)}`,
    action,
    resource: scope === null ? 'resource' : `resource in ${entity('Server', scope.server)}`,
    when: name === null ? when : [...when, name],
    ...(scope === null && !reachesOwnApi(verb) ? { unless: isOwnApi } : {}),
  })
}

/** Opening a session, discovery and listing, wherever the role may do anything; null when that is nowhere. */
function sessionPolicy(role: Role): CedarPolicy | null {
  const servers = new Set(role.permissions.flatMap(({ scope }) => (scope === null ? [] : [scope.server])))
  const everywhere = role.permissions.some(({ scope }) => scope === null)
  if (!everywhere && servers.size === 0) return null
  const list = [...servers].map((name) => entity('Server', name)).join(', ')
  return writePolicy({
    id: `role:${role.name}/session`,
    effect: 'permit',
    source: `${role.name}: sessions and lists where it has a permission`,
    principal: `principal in ${entity('Role', role.name)}`,
    action: `action in ${entity('Action', 'session')}`,
    resource: 'resource',
    when: [`context.effect == ${quote('session')}`, ...(everywhere ? [] : [`resource in [${list}]`])],
    ...(everywhere ? { unless: isOwnApi } : {}),
  })
}

function rolePolicies(role: Role): readonly CedarPolicy[] {
  const session = sessionPolicy(role)
  return [
    ...role.permissions.map((permission, i) => permissionPolicy(role.name, permission, i)),
    ...(session ? [session] : []),
  ]
}

function header(source: PolicySource, bindings: readonly Binding[]): string {
  const lines = bindings.map(({ role, pattern }) => `// role ${role}: ${pattern.text}`)
  return [`// trust domain: ${source.trustDomain}`, `// servers: ${source.servers.join(', ')}`, ...lines].join('\n')
}

/**
 * Compiles to Cedar, or tells every mistake with its path in `where`: `permission_invalid`, `server_unknown`,
 * `server_reserved`, `server_name_invalid`, `role_invalid`, `role_reserved`, `role_duplicate`, `role_unknown`,
 * `spiffe_pattern_invalid`, `binding_trust_domain`, `policy_too_large`. Does not check the Cedar text: the engine
 * does before it activates it.
 */
export function compilePolicy(source: PolicySource): CompileResult {
  const { roles, bindings, problems } = judgeSource(source)
  if (problems.length > 0) return { ok: false, problems }
  const policies = [...builtinPolicies, ...roles.flatMap(rolePolicies)]
  const text = `${header(source, bindings)}\n\n${policies.map((policy) => policy.text).join('\n')}`
  const servers = new Set([...source.servers, ...ownServers])
  return { ok: true, policy: { text, schema: policySchema, policies, bindings, servers } }
}

/** Roles that the bindings give to the workload. */
export function boundRoles(bindings: readonly Binding[], id: SpiffeId): readonly string[] {
  return bindings.filter((binding) => matchesSpiffeId(binding.pattern, id)).map((binding) => binding.role)
}
