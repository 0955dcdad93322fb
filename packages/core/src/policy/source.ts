/** What the operator wrote about roles, as configuration hands it over, and its judgement: all mistakes at once. */

import { DoorwardError, isDoorwardError } from '../error.ts'
import { parseSpiffeIdPattern } from '../identity/spiffe-id.ts'
import type { SpiffeIdPattern, TrustDomain } from '../identity/spiffe-id.ts'
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
  readonly workloads: readonly string[]
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

export interface JudgedSource {
  readonly roles: readonly Role[]
  readonly bindings: readonly Binding[]
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

function judgeBindings(source: PolicySource, roles: readonly Role[], problems: DoorwardError[]): Binding[] {
  const known = new Set(roles.map((role) => role.name))
  const bindings: Binding[] = []
  source.bindings.forEach(({ role, workloads }, i) => {
    if (!known.has(role)) {
      problems.push(
        problem('role_unknown', 'a binding to a role that is not defined', {
          where: `bindings[${i}].role`,
          got: role,
          expected: `one of ${[...known].join(', ') || '(none)'}`,
        }),
      )
    }
    workloads.forEach((text, j) => {
      const where = `bindings[${i}].workloads[${j}]`
      const pattern = attempt(where, problems, () => parseSpiffeIdPattern(text))
      if (pattern === null) return
      if (pattern.trustDomain !== source.trustDomain) {
        problems.push(
          problem('binding_trust_domain', 'a binding outside the trust domain', {
            where,
            got: text,
            expected: `spiffe://${source.trustDomain}/…`,
          }),
        )
      }
      bindings.push({ role, pattern })
    })
  })
  return bindings
}

function sizeProblems(source: PolicySource): DoorwardError[] {
  const permissions = [...source.rbac, ...source.roles].reduce((sum, role) => sum + role.permissions.length + 1, 0)
  const patterns = source.bindings.reduce((sum, binding) => sum + binding.workloads.length, 0)
  const over = (where: string, count: number, limit: number): DoorwardError[] =>
    count <= limit
      ? []
      : [problem('policy_too_large', 'too many entries', { where, got: String(count), expected: `at most ${limit}` })]
  return [...over('roles', permissions, maxPermissions), ...over('bindings', patterns, maxPatterns)]
}

/** Parses everything; `problems` holds every mistake with its path in `where`. Codes as listed at `compilePolicy`. */
export function judgeSource(source: PolicySource): JudgedSource {
  const problems = sizeProblems(source)
  if (problems.length > 0) return { roles: [], bindings: [], problems }
  const roles = judgeRoles(source, problems)
  return { roles, bindings: judgeBindings(source, roles, problems), problems }
}
