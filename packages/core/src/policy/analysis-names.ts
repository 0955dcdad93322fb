/** Names in policies that mean nothing here: servers, tools, routes, roles and workloads that there cannot be. */

import { readSpiffeId } from '../identity/spiffe-id.ts'
import type { TrustDomain } from '../identity/spiffe-id.ts'
import { nearestName } from './analysis-suggestion.ts'
import type { Guess } from './analysis-suggestion.ts'
import type { KnownWorld } from './analysis-reach.ts'
import { calleeRole, gatewayRole, ownRoutes, ownServers } from './builtin.ts'
import type { Constraint, Expression, Policy } from './cedar/expression.ts'
import { partsOf } from './cedar/reads.ts'
import { EntityUid } from './cedar/value.ts'

export interface KnownNames extends KnownWorld, NamesThereAre {}

/** What names can mean here. */
export interface NamesThereAre extends Pick<KnownWorld, 'servers' | 'tools'> {
  readonly trustDomain: TrustDomain
  /** Those that are defined; a registration gives no others a meaning. */
  readonly roles: ReadonlySet<string>
  /** `nearestName` by default. */
  readonly guess?: Guess
}

export interface UnknownName {
  readonly code: 'policy_server_unknown' | 'policy_item_unknown' | 'policy_role_unknown' | 'policy_trust_domain'
  /** A warning for tools, which come and go without us; a problem for everything that stands in the configuration. */
  readonly level: 'problem' | 'warning'
  readonly uid: EntityUid
  readonly message: string
  readonly help: string | null
}

/** Each name once, in the order of the policy. */
export function unknownNames(policy: Policy, known: NamesThereAre): readonly UnknownName[] {
  const found = new Map<string, UnknownName>()
  for (const uid of entitiesOf(policy)) {
    const problem = found.has(uid.key) ? null : judge(uid, known)
    if (problem !== null) found.set(uid.key, problem)
  }
  return [...found.values()]
}

function* entitiesOf({ principal, action, resource, conditions }: Policy): Iterable<EntityUid> {
  for (const constraint of [principal, action, resource]) yield* named(constraint)
  for (const { body } of conditions) yield* literals(body)
}

function named(constraint: Constraint): readonly EntityUid[] {
  if (constraint.kind === 'equal') return [constraint.uid]
  if (constraint.kind === 'in') return constraint.uids
  return constraint.kind === 'is' && constraint.within !== null ? [constraint.within] : []
}

function* literals(expression: Expression): Iterable<EntityUid> {
  if (expression.kind === 'literal' && expression.value instanceof EntityUid) yield expression.value
  for (const part of partsOf(expression)) yield* literals(part)
}

function judge(uid: EntityUid, known: NamesThereAre): UnknownName | null {
  switch (uid.type) {
    case 'Server':
      return judgeServer(uid, uid.id, known)
    case 'Tool':
    case 'Prompt':
    case 'Resource':
    case 'Task':
    case 'Route':
      return judgeItem(uid, known)
    case 'Role':
      return judgeRole(uid, known)
    case 'Workload':
      return judgeWorkload(uid, known)
    default:
      return null
  }
}

function meant(type: string, id: string | null, otherwise: string | null): string | null {
  return id === null ? otherwise : `did you mean ${type}::${JSON.stringify(id)}?`
}

function listed(names: readonly string[]): string {
  const shown = names.slice(0, 10).join(', ')
  return names.length > 10 ? `${shown} and ${names.length - 10} more` : shown || '(none)'
}

function judgeServer(
  uid: EntityUid,
  server: string,
  { servers, guess = nearestName }: NamesThereAre,
): UnknownName | null {
  if (servers.has(server)) return null
  const near = guess(server, servers)
  const whole = near === null ? null : uid.type === 'Server' ? near : near + uid.id.slice(server.length)
  const configured = [...servers].filter((name) => !ownServers.includes(name))
  return {
    code: 'policy_server_unknown',
    level: 'problem',
    uid,
    message: `the server ${JSON.stringify(server.slice(0, 64))} is not configured`,
    help: meant(uid.type, whole, `configured are: ${listed(configured)}`),
  }
}

function judgeItem(uid: EntityUid, known: NamesThereAre): UnknownName | null {
  const slash = uid.id.indexOf('/')
  if (slash < 0) {
    const message = `the id of a ${uid.type} is <server>/<name>`
    return { code: 'policy_item_unknown', level: 'problem', uid, message, help: null }
  }
  const server = uid.id.slice(0, slash)
  const name = uid.id.slice(slash + 1)
  const wrong = judgeServer(uid, server, known)
  if (wrong !== null) return wrong
  const own = ownServers.includes(server)
  if (own && uid.type !== 'Route') {
    const message = 'our own API has routes and nothing else'
    return { code: 'policy_item_unknown', level: 'problem', uid, message, help: null }
  }
  const names = own ? routesOf(server) : uid.type === 'Tool' ? known.tools.get(server) : undefined
  if (names === undefined || names.includes(name)) return null
  const near = (known.guess ?? nearestName)(name, names)
  return {
    code: 'policy_item_unknown',
    level: own ? 'problem' : 'warning',
    uid,
    message: `${server} has no ${own ? 'route' : 'tool'} ${JSON.stringify(name.slice(0, 80))}`,
    help: meant(uid.type, near === null ? null : `${server}/${near}`, `there are: ${listed(names)}`),
  }
}

function routesOf(server: string): readonly string[] {
  return [...new Set(ownRoutes.filter((route) => route.server === server).map(({ path }) => path.slice(1)))]
}

function judgeRole(uid: EntityUid, { roles, guess = nearestName }: NamesThereAre): UnknownName | null {
  if (roles.has(uid.id) || uid.id === gatewayRole || uid.id === calleeRole) return null
  const near = guess(uid.id, roles)
  return {
    code: 'policy_role_unknown',
    level: 'problem',
    uid,
    message: `the role ${JSON.stringify(uid.id.slice(0, 64))} is not defined`,
    help: meant(
      'Role',
      near,
      `define it, without permissions if need be: roles: { ${uid.id.slice(0, 64)}: [] }; defined are: ${listed([...roles])}`,
    ),
  }
}

function judgeWorkload(uid: EntityUid, { trustDomain }: NamesThereAre): UnknownName | null {
  const id = readSpiffeId(uid.id)
  if ('problem' in id)
    return {
      code: 'policy_trust_domain',
      level: 'problem',
      uid,
      message: `not the id of a workload: ${id.problem}`,
      help: `an id is spiffe://${trustDomain}/…`,
    }
  if (id.trustDomain === trustDomain) return null
  const message = `a workload of the trust domain ${id.trustDomain}, which nobody here is in`
  return { code: 'policy_trust_domain', level: 'problem', uid, message, help: `ours is ${trustDomain}` }
}
