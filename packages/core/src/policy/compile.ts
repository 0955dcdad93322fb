/** Turns roles, permissions and bindings into Cedar: one semantics, shown to operators as it is decided. */

import { DoorwardError } from '../error.ts'
import type { TrustDomain } from '../identity/spiffe-id.ts'
import type { ApprovalRule } from './approval-duties.ts'
import { readArguments, writeArgumentType } from './argument-type.ts'
import type { Arguments } from './argument-type.ts'
import { builtinPolicies, isOwnApi, ownServers } from './builtin.ts'
import { CallClock } from './call-clock.ts'
import { entity, nameCondition, quote, writePolicy } from './cedar-text.ts'
import type { CedarPolicy } from './cedar-text.ts'
import type { Permission, PermissionVerb } from './permission.ts'
import { policySchema } from './schema.ts'
import { judgeSource } from './source.ts'
import type { Binding, JudgedSource, PolicyFile, PolicySource, Role, SubjectBinding } from './source.ts'

/** One immutable policy, ready for an engine. */
export interface CompiledPolicy {
  /** Cedar text with bindings, servers and tools as comments: everything that a decision depends on. */
  readonly text: string
  /** Cedar schema, human-readable syntax. */
  readonly schema: string
  /** Ids: `role:<role>/<index>`, `role:<role>/session`, `builtin:…`. Unique. */
  readonly policies: readonly CedarPolicy[]
  /** The operator's own Cedar policies, not yet read. */
  readonly files: readonly PolicyFile[]
  readonly bindings: readonly Binding[]
  readonly subjects: readonly SubjectBinding[]
  /** Arguments of the known tools by `<server>/<tool>`. */
  readonly tools: ReadonlyMap<string, Arguments>
  /** IANA name of the zone of `context.time`. */
  readonly timeZone: string
  /** Configured servers and our own API; every other server is denied. */
  readonly servers: ReadonlySet<string>
  /** Those that are defined, with permissions or without; a registration may give others. */
  readonly roles: ReadonlySet<string>
  /** Groups of approvers that policies may ask for. */
  readonly approvers: ReadonlySet<string>
  readonly approvals: readonly ApprovalRule[]
  readonly trustDomain: TrustDomain
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
export function reachesOwnApi(verb: PermissionVerb): boolean {
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

/** Everything besides policies that a decision depends on, as comments. */
function header(source: PolicySource, judged: JudgedSource, tools: ReadonlyMap<string, Arguments>): string {
  return [
    `// trust domain: ${source.trustDomain}`,
    `// servers: ${source.servers.join(', ')}`,
    ...(source.timeZone === undefined ? [] : [`// time zone: ${source.timeZone}`]),
    ...judged.bindings.map(({ role, pattern }) => `// role ${role}: ${pattern.text}`),
    ...judged.subjects.map(
      ({ role, issuer, kind, name }) => `// role ${role}: ${kind} ${quote(name)} of ${quote(issuer)}`,
    ),
    ...(source.approvals?.groups ?? []).map((name) => `// approvers: ${name}`),
    ...judged.approvals.map(({ permission, by }) => `// approval by ${by}: ${permission.text}`),
    ...Array.from(tools, ([name, { type }]) => `// arguments of ${quote(name)}: ${writeArgumentType(type)}`),
  ].join('\n')
}

function timeZoneProblems(timeZone: string): readonly DoorwardError[] {
  try {
    void new CallClock(timeZone)
    return []
  } catch {
    return [
      new DoorwardError('time_zone_unknown', 'a time zone that is not known', {
        where: 'policy.time_zone',
        got: JSON.stringify(timeZone.slice(0, 60)),
        expected: 'an IANA time zone such as UTC or Europe/Berlin',
      }),
    ]
  }
}

/**
 * Compiles to Cedar, or tells every mistake with its path in `where`: `permission_invalid`, `server_unknown`,
 * `server_reserved`, `server_name_invalid`, `role_invalid`, `role_reserved`, `role_duplicate`, `role_unknown`,
 * `spiffe_pattern_invalid`, `binding_trust_domain`, `binding_issuer`, `binding_empty`, `binding_subject`,
 * `approver_unknown`, `time_zone_unknown`, `policy_too_large`. Does not read the Cedar text: the engine does before it activates it.
 */
export function compilePolicy(source: PolicySource): CompileResult {
  const judged = judgeSource(source)
  const { files = [], timeZone = 'UTC' } = source
  const problems = [...judged.problems, ...timeZoneProblems(timeZone)]
  if (problems.length > 0) return { ok: false, problems }
  const { roles, bindings, subjects, approvals } = judged
  const policies = [...builtinPolicies, ...roles.flatMap(rolePolicies)]
  const tools = new Map(
    (source.tools ?? []).map(({ server, name, inputSchema }) => [`${server}/${name}`, readArguments(inputSchema)]),
  )
  const texts = [...policies.map(({ text }) => text), ...files.map(({ name, text }) => `// file: ${name}\n${text}`)]
  const text = `${header(source, judged, tools)}\n\n${texts.join('\n')}`
  const servers = new Set([...source.servers, ...ownServers])
  const { trustDomain } = source
  const approvers = new Set(source.approvals?.groups)
  const names = { servers, roles: new Set(roles.map(({ name }) => name)), approvers, trustDomain }
  return {
    ok: true,
    policy: { text, schema: policySchema(), policies, files, bindings, subjects, tools, timeZone, approvals, ...names },
  }
}
