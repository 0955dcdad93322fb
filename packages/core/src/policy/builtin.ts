/**
 * Built-in policy: the routes of our own API, and who may use them without a role of the operator's.
 *
 * Routes in group `admin` have no policy here: a role with `admin` or `*`, or a permission that names the server,
 * allows them.
 */

import { entity, quote, writePolicy } from './cedar-text.ts'
import type { CedarPolicy } from './cedar-text.ts'
import type { Action, ActionGroup, Resource } from './decision.ts'

/** Server names that mean our own API. No configured server may have them. */
export const ownServers: readonly string[] = ['authority', 'gateway']

/** The role that the authority gives to gateways. No configured role may have its name. */
export const gatewayRole = 'gateway'

/**
 * What the trust state says of a workload that has audiences, beside its roles: it decides about its callers. No role that
 * anybody may register or configure has such a name.
 */
export const calleeRole = 'doorward:callee'

export interface OwnRoute {
  readonly server: 'authority' | 'gateway'
  readonly method: string
  /** Absolute path; a final `/*` stands for whatever follows, at least one character. */
  readonly path: string
  readonly group: Exclude<ActionGroup, 'session'>
}

/**
 * Who may use a route without any permission: each registered workload for itself, everybody who calls and for whom,
 * gateways, whoever decides about callers, holders of a join token.
 */
type Opening = 'caller' | 'everybody' | 'gateway' | 'decider' | 'enrolment'

const openRoutes: readonly (OwnRoute & { readonly open: Opening })[] = [
  { server: 'authority', method: 'POST', path: '/v1/token', group: 'write', open: 'caller' },
  { server: 'authority', method: 'POST', path: '/v1/login', group: 'write', open: 'caller' },
  { server: 'authority', method: 'POST', path: '/v1/renew', group: 'write', open: 'caller' },
  { server: 'authority', method: 'POST', path: '/v1/jwt-svid', group: 'write', open: 'caller' },
  { server: 'authority', method: 'POST', path: '/v1/enrol', group: 'write', open: 'enrolment' },
  { server: 'authority', method: 'GET', path: '/v1/trust-state', group: 'read', open: 'caller' },
  { server: 'authority', method: 'GET', path: '/v1/trust-state/full', group: 'read', open: 'decider' },
  { server: 'authority', method: 'POST', path: '/v1/trust-state/ack', group: 'write', open: 'caller' },
  { server: 'authority', method: 'POST', path: '/v1/detections', group: 'write', open: 'gateway' },
  { server: 'authority', method: 'POST', path: '/v1/witness', group: 'write', open: 'gateway' },
  { server: 'authority', method: 'GET', path: '/v1/witness/log', group: 'read', open: 'gateway' },
  { server: 'authority', method: 'POST', path: '/v1/witness/cosignature', group: 'write', open: 'gateway' },
  { server: 'gateway', method: 'GET', path: '/v1/receipt', group: 'read', open: 'everybody' },
  // Whoever is in a group of approvers, which the routes themselves look at: no role includes it.
  { server: 'gateway', method: 'GET', path: '/v1/approvals', group: 'read', open: 'everybody' },
  { server: 'gateway', method: 'GET', path: '/v1/approvals/request', group: 'read', open: 'everybody' },
  { server: 'gateway', method: 'POST', path: '/v1/approvals/decision', group: 'write', open: 'everybody' },
]

function admin(server: OwnRoute['server'], path: string, ...methods: readonly string[]): readonly OwnRoute[] {
  return methods.map((method) => ({ server, method, path, group: 'admin' }))
}

/** Every route of our own API that policy knows. A route that is not listed is denied to everybody. */
export const ownRoutes: readonly OwnRoute[] = [
  ...openRoutes,
  ...admin('authority', '/v1/workloads', 'GET', 'POST', 'PUT', 'DELETE'),
  ...admin('authority', '/v1/workload', 'GET'),
  ...admin('authority', '/v1/join-strings', 'POST'),
  ...admin('authority', '/v1/gateways', 'POST'),
  ...admin('authority', '/v1/instances', 'DELETE'),
  ...admin('authority', '/v1/instances/lock', 'POST'),
  ...admin('authority', '/v1/authorities', 'DELETE'),
  ...admin('authority', '/v1/delegation', 'GET', 'POST'),
  ...admin('authority', '/v1/ceremonies', 'POST'),
  ...admin('authority', '/v1/ceremonies/newest', 'GET', 'DELETE'),
  ...admin('authority', '/v1/ceremonies/newest/canary', 'POST'),
  ...admin('authority', '/v1/ceremonies/newest/report', 'POST'),
  ...admin('authority', '/v1/revocations', 'GET', 'POST'),
  ...admin('authority', '/v1/receivers', 'GET'),
  ...admin('authority', '/v1/status', 'GET'),
  ...admin('authority', '/v1/record', 'GET'),
  ...admin('authority', '/v1/redactions', 'POST'),
  ...admin('authority', '/v1/policy', 'GET', 'POST'),
  ...admin('authority', '/metrics', 'GET'),
  ...admin('gateway', '/metrics', 'GET'),
  ...admin('gateway', '/v1/policy', 'GET', 'POST'),
  ...admin('gateway', '/v1/configuration', 'GET', 'POST'),
  ...admin('gateway', '/v1/status', 'GET'),
  ...admin('gateway', '/v1/record', 'GET'),
  ...admin('gateway', '/v1/redactions', 'POST'),
  ...admin('gateway', '/v1/audit/hmac', 'POST'),
  ...admin('gateway', '/v1/servers', 'GET'),
  ...admin('gateway', '/v1/servers/definitions', 'GET'),
  ...admin('gateway', '/v1/servers/approve', 'POST'),
  ...admin('gateway', '/v1/secrets', 'GET', 'POST', 'PUT', 'DELETE'),
  ...admin('gateway', '/v1/grants', 'GET', 'DELETE'),
]

function matchesPath(pattern: string, path: string): boolean {
  if (!pattern.endsWith('/*')) return pattern === path
  const prefix = pattern.slice(0, -1)
  return path.length > prefix.length && path.startsWith(prefix)
}

/** The action and resource that a request to our own API is, or null when policy does not know the route. */
export function ownRoute(
  server: string,
  method: string,
  path: string,
): { readonly action: Action; readonly resource: Resource } | null {
  const route = ownRoutes.find((row) => row.server === server && row.method === method && matchesPath(row.path, path))
  if (route === undefined) return null
  return { action: { name: method, group: route.group }, resource: { server, kind: 'route', name: path } }
}

/** `resource` is part of our own API. */
export const isOwnApi = `resource in [${ownServers.map((name) => entity('Server', name)).join(', ')}]`

function routeEntity(server: string, path: string): string {
  return entity('Route', `${server}${path}`)
}

const openTo: Readonly<Record<Opening, { readonly principal: string; readonly when?: readonly string[] }>> = {
  caller: { principal: 'principal is Workload' },
  everybody: { principal: 'principal' },
  gateway: { principal: `principal in ${entity('Role', gatewayRole)}` },
  decider: {
    principal: 'principal is Workload',
    when: [`principal in [${entity('Role', gatewayRole)}, ${entity('Role', calleeRole)}]`],
  },
  enrolment: { principal: 'principal is Workload', when: [`context.strength == ${quote('mtls-enrolment')}`] },
}

function permitRoute(route: OwnRoute & { readonly open: Opening }): CedarPolicy {
  return writePolicy({
    id: `builtin:${route.server}${route.path}`,
    effect: 'permit',
    source: `own API: ${route.method} ${route.path} is open to: ${route.open}`,
    action: `action == ${entity('Action', route.method)}`,
    resource: `resource == ${routeEntity(route.server, route.path)}`,
    ...openTo[route.open],
  })
}

/** A way to prove oneself that is weaker than certificate and token opens one route and nothing else. */
function confine(strength: string, path: string): CedarPolicy {
  return writePolicy({
    id: `builtin:only-for${path}/${strength}`,
    effect: 'forbid',
    source: `own API: ${strength} is good for ${path} and nothing else`,
    principal: 'principal',
    action: 'action',
    resource: 'resource',
    when: [`context.strength == ${quote(strength)}`],
    unless: `resource == ${routeEntity('authority', path)}`,
  })
}

/** Policies that every deployment has. Ids start with `builtin:`. */
export const builtinPolicies: readonly CedarPolicy[] = [
  confine('mtls-enrolment', '/v1/enrol'),
  confine('mtls-client-credentials', '/v1/token'),
  ...openRoutes.map(permitRoute),
]
