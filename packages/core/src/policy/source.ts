/** What the operator wrote about roles, as configuration hands it over, and its judgement: all mistakes at once. */

import { DoorwardError, isDoorwardError } from '../error.ts'
import { parseSpiffeIdPattern } from '../identity/spiffe-id.ts'
import type { SpiffeIdPattern, TrustDomain } from '../identity/spiffe-id.ts'
import type { JsonObject } from '../json-value.ts'
import type { ApprovalRule } from './approval-duties.ts'
import { gatewayRole, ownServers } from './builtin.ts'
import { isServerName, parsePermission } from './permission.ts'
import type { Permission } from './permission.ts'

export interface RolePermissions {
  readonly role: string
  readonly permissions: readonly string[]
}

export interface BindingSource {
  readonly role: string
  /** SPIFFE ID patterns of whole segments, with the trust domain. */
  readonly workloads?: readonly string[]
  /** Who the users and groups are of, as `iss` of their tokens. */
  readonly issuer?: string
  /** Subjects of the issuer, as they are. */
  readonly users?: readonly string[]
  readonly groups?: readonly string[]
}

/** A file of the operator's own Cedar policies. */
export interface PolicyFile {
  /** As shown in messages and ids. */
  readonly name: string
  readonly text: string
}

/** A tool of which the input schema (JSON Schema) is known. */
export interface KnownTool {
  readonly server: string
  readonly name: string
  readonly inputSchema: JsonObject
}

/** Who may be asked to approve calls, and which calls need it. */
export interface ApprovalsSource {
  /** Names of the groups of approvers. */
  readonly groups: readonly string[]
  readonly rules: readonly { readonly permission: string; readonly by: string }[]
}

export interface PolicySource {
  readonly trustDomain: TrustDomain
  /** `security.rbac.policies` of ADR-0011. */
  readonly rbac: readonly RolePermissions[]
  /** `roles`. */
  readonly roles: readonly RolePermissions[]
  /** `bindings`. */
  readonly bindings: readonly BindingSource[]
  /** Names of the configured servers. */
  readonly servers: readonly string[]
  readonly files?: readonly PolicyFile[]
  readonly tools?: readonly KnownTool[]
  /** IANA name, `UTC` by default. */
  readonly timeZone?: string
  /** `approvals`; nobody by default. */
  readonly approvals?: ApprovalsSource
}

export interface Role {
  readonly name: string
  readonly permissions: readonly Permission[]
}

/** Gives the role to every workload whose ID matches. */
export interface Binding {
  readonly role: string
  readonly pattern: SpiffeIdPattern
}

/** Gives the role to a user, or to every member of a group, of an issuer. */
export interface SubjectBinding {
  readonly role: string
  readonly issuer: string
  readonly kind: 'user' | 'group'
  readonly name: string
}

export interface JudgedSource {
  readonly roles: readonly Role[]
  readonly bindings: readonly Binding[]
  readonly subjects: readonly SubjectBinding[]
  readonly approvals: readonly ApprovalRule[]
  readonly problems: readonly DoorwardError[]
}

export const maxPermissions = 10_000
export const maxPatterns = 10_000

const nameRule = '1 to 64 of A-Z a-z 0-9 . _ -, a letter or digit first'
const roleName = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/

interface Place {
  readonly where: string
  readonly got: string
  readonly expected: string
}

function problem(code: string, message: string, { where, got, expected }: Place): DoorwardError {
  return new DoorwardError(code, message, { where, got: JSON.stringify(got.slice(0, 120)), expected })
}

/** Runs a parser and keeps its error as a problem at `where`. */
function attempt<T>(where: string, problems: DoorwardError[], parse: () => T): T | null {
  try {
    return parse()
  } catch (error) {
    if (!isDoorwardError(error)) throw error
    const { code, message, expected, got, next } = error
    const detail = { ...(expected && { expected }), ...(got && { got }), ...(next && { next }) }
    problems.push(new DoorwardError(code, message, { where, ...detail }))
    return null
  }
}

function judgeServers(servers: readonly string[], problems: DoorwardError[]): ReadonlySet<string> {
  for (const name of servers) {
    const where = `servers.${name.slice(0, 64)}`
    if (!isServerName(name)) {
      problems.push(problem('server_name_invalid', 'not a server name', { where, got: name, expected: nameRule }))
    } else if (ownServers.includes(name)) {
      problems.push(
        problem('server_reserved', 'a server has the name of our own API', {
          where,
          got: name,
          expected: `a name other than ${ownServers.join(', ')}`,
        }),
      )
    }
  }
  return new Set([...servers, ...ownServers])
}

function judgePermission(
  text: string,
  where: string,
  servers: ReadonlySet<string>,
  problems: DoorwardError[],
): Permission | null {
  const permission = attempt(where, problems, () => parsePermission(text, where))
  if (permission === null || permission.scope === null || servers.has(permission.scope.server)) return permission
  const known = [...servers].filter((name) => !ownServers.includes(name)).join(', ')
  problems.push(
    problem('server_unknown', 'a permission for a server that is not configured', {
      where,
      got: text,
      expected: `one of the servers ${known || '(none)'}`,
    }),
  )
  return null
}

interface PlacedRole extends RolePermissions {
  readonly where: string
  readonly list: string
}

function placedRoles(source: PolicySource): readonly PlacedRole[] {
  return [
    ...source.rbac.map((role, i) => ({
      ...role,
      where: `security.rbac.policies[${i}].role`,
      list: `security.rbac.policies[${i}].permissions`,
    })),
    ...source.roles.map((role) => ({
      ...role,
      where: `roles.${role.role.slice(0, 64)}`,
      list: `roles.${role.role.slice(0, 64)}`,
    })),
  ]
}

function roleProblem(name: string, seen: ReadonlySet<string>, where: string): DoorwardError | null {
  if (!roleName.test(name)) return problem('role_invalid', 'not a role name', { where, got: name, expected: nameRule })
  if (name === gatewayRole)
    return problem('role_reserved', 'a role has the name that the authority gives to gateways', {
      where,
      got: name,
      expected: 'another name',
    })
  if (seen.has(name))
    return problem('role_duplicate', 'a role is defined twice', {
      where,
      got: name,
      expected: 'each role in one place, rbac.policies or roles',
    })
  return null
}

function judgeRoles(source: PolicySource, problems: DoorwardError[]): Role[] {
  const servers = judgeServers(source.servers, problems)
  const seen = new Set<string>()
  const roles: Role[] = []
  for (const { role: name, permissions, where, list } of placedRoles(source)) {
    const wrong = roleProblem(name, seen, where)
    if (wrong !== null) problems.push(wrong)
    seen.add(name)
    const judged = permissions.map((text, i) => judgePermission(text, `${list}[${i}]`, servers, problems))
    roles.push({ name, permissions: judged.filter((permission) => permission !== null) })
  }
  return roles
}

interface JudgedBindings {
  readonly bindings: Binding[]
  readonly subjects: SubjectBinding[]
}

function judgeBindings(source: PolicySource, roles: readonly Role[], problems: DoorwardError[]): JudgedBindings {
  const known = new Set(roles.map((role) => role.name))
  const bindings: Binding[] = []
  const subjects: SubjectBinding[] = []
  for (const [i, binding] of source.bindings.entries()) {
    const where = `bindings[${i}]`
    if (!known.has(binding.role)) {
      problems.push(
        problem('role_unknown', 'a binding to a role that is not defined', {
          where: `${where}.role`,
          got: binding.role,
          expected: `one of ${[...known].join(', ') || '(none)'}`,
        }),
      )
    }
    for (const [j, text] of (binding.workloads ?? []).entries()) {
      const pattern = judgePattern(text, `${where}.workloads[${j}]`, source.trustDomain, problems)
      if (pattern !== null) bindings.push({ role: binding.role, pattern })
    }
    subjects.push(...judgeSubjects(binding, where, problems))
  }
  return { bindings, subjects }
}

function judgePattern(
  text: string,
  where: string,
  trustDomain: TrustDomain,
  problems: DoorwardError[],
): SpiffeIdPattern | null {
  const pattern = attempt(where, problems, () => parseSpiffeIdPattern(text))
  if (pattern === null || pattern.trustDomain === trustDomain) return pattern
  const expected = `spiffe://${trustDomain}/…`
  problems.push(problem('binding_trust_domain', 'a binding outside the trust domain', { where, got: text, expected }))
  return null
}

const MAX_SUBJECT = 512

function judgeSubjects(
  { role, issuer, users = [], groups = [], workloads }: BindingSource,
  where: string,
  problems: DoorwardError[],
): readonly SubjectBinding[] {
  const named = [
    ...users.map((name) => ({ kind: 'user' as const, name })),
    ...groups.map((name) => ({ kind: 'group' as const, name })),
  ]
  if (issuer === undefined) {
    if (named.length > 0)
      problems.push(
        problem('binding_issuer', 'users and groups of nobody', {
          where: `${where}.issuer`,
          got: '',
          expected: 'the issuer of the users and groups, as in iss of their tokens',
        }),
      )
    else if (workloads === undefined)
      problems.push(
        problem('binding_empty', 'a binding to nobody', {
          where,
          got: role,
          expected: 'workloads, or an issuer with users or groups',
        }),
      )
    return []
  }
  const bad = named.find(({ name }) => name === '' || name.length > MAX_SUBJECT || !name.isWellFormed())
  if (bad !== undefined)
    problems.push(
      problem('binding_subject', `not the name of a ${bad.kind}`, {
        where: `${where}.${bad.kind}s`,
        got: bad.name,
        expected: `1 to ${MAX_SUBJECT} characters`,
      }),
    )
  return named.map(({ kind, name }) => ({ role, issuer, kind, name }))
}

const MAX_APPROVAL_RULES = 256

/** Rules are about configured servers: what operators do to Doorward itself waits for nobody. */
function judgeApprovals(source: PolicySource, problems: DoorwardError[]): readonly ApprovalRule[] {
  const { groups, rules } = source.approvals ?? { groups: [], rules: [] }
  const servers = new Set(source.servers)
  return rules.flatMap(({ permission: text, by }, i) => {
    const where = `approvals.rules[${i}]`
    if (!groups.includes(by)) {
      const expected = `one of approvals.groups: ${groups.join(', ') || '(none)'}`
      problems.push(
        problem('approver_unknown', 'approvers that are not defined', { where: `${where}.by`, got: by, expected }),
      )
    }
    const permission = judgePermission(text, `${where}.permission`, servers, problems)
    return permission === null ? [] : [{ id: `approval:${text}`, permission, by }]
  })
}

function sizeProblems(source: PolicySource): DoorwardError[] {
  const permissions = [...source.rbac, ...source.roles].reduce((sum, role) => sum + role.permissions.length + 1, 0)
  const patterns = source.bindings.reduce(
    (sum, { workloads = [], users = [], groups = [] }) => sum + workloads.length + users.length + groups.length,
    0,
  )
  const over = (where: string, count: number, limit: number): DoorwardError[] =>
    count <= limit
      ? []
      : [problem('policy_too_large', 'too many entries', { where, got: String(count), expected: `at most ${limit}` })]
  return [
    ...over('roles', permissions, maxPermissions),
    ...over('bindings', patterns, maxPatterns),
    ...over('approvals.rules', source.approvals?.rules.length ?? 0, MAX_APPROVAL_RULES),
  ]
}

/** Parses everything; `problems` holds every mistake with its path in `where`. Codes as listed at `compilePolicy`. */
export function judgeSource(source: PolicySource): JudgedSource {
  const problems = sizeProblems(source)
  if (problems.length > 0) return { roles: [], bindings: [], subjects: [], approvals: [], problems }
  const roles = judgeRoles(source, problems)
  const approvals = judgeApprovals(source, problems)
  return { roles, ...judgeBindings(source, roles, problems), approvals, problems }
}
