/**
 * A slow second opinion on roles, permissions and bindings: works on the operator's text directly, shares no code
 * with compiler or engine, and serves as the small decision port that the contract is also run on.
 */

import type {
  ApprovalDuty,
  DecisionRequest,
  ListVerdict,
  Obligation,
  PolicySource,
  SomeRequest,
  Verdict,
} from '@doorward/core'
import type { DecisionPort } from '@doorward/enforcement'

const session =
  'initialize ping server/discover logging/setLevel response subscriptions/listen tools/list prompts/list resources/list resources/templates/list tasks/list notifications/initialized notifications/cancelled notifications/progress notifications/roots/list_changed GET POST DELETE'
const uses: Readonly<Record<string, string>> = {
  'session server': session,
  'session task': 'notifications/tasks/status',
  'read tool': 'tools/call rpc/call',
  'write tool': 'tools/call rpc/call',
  'admin tool': 'tools/call rpc/call',
  'read prompt': 'prompts/get completion/complete',
  'read resource': 'resources/read resources/subscribe resources/unsubscribe completion/complete subscriptions/listen',
  'read task': 'tasks/get tasks/result tasks/resubscribe subscriptions/listen',
  'write task': 'tasks/cancel tasks/update message/send message/stream',
  'read server': 'tasks/list',
  'write server': 'message/send message/stream',
  'read route': 'GET HEAD OPTIONS',
  'write route': 'POST PUT PATCH DELETE',
  'admin route': 'GET HEAD OPTIONS POST PUT PATCH DELETE',
}

const own = ['authority', 'gateway']
const ownRoutes: readonly (readonly [RegExp, string])[] = [
  [/^POST authority\/v1\/(token|login|renew|jwt-svid|enrol|trust-state\/ack)$/, 'write'],
  [/^GET authority\/v1\/trust-state$/, 'read'],
  [/^GET authority\/v1\/trust-state\/full$/, 'read'],
  [/^POST authority\/v1\/(detections|witness|witness\/cosignature)$/, 'write'],
  [/^GET authority\/v1\/witness\/log$/, 'read'],
  [/^GET gateway\/v1\/receipt$/, 'read'],
  [/^GET gateway\/v1\/approvals(\/request)?$/, 'read'],
  [/^POST gateway\/v1\/approvals\/decision$/, 'write'],
  [/^(GET|POST|PUT|DELETE) authority\/v1\/workloads$/, 'admin'],
  [/^GET authority\/v1\/(workload|receivers|ceremonies\/newest|delegation|revocations)$/, 'admin'],
  [/^POST authority\/v1\/(gateways|instances\/lock|delegation|ceremonies|revocations)$/, 'admin'],
  [/^POST authority\/v1\/ceremonies\/newest\/(canary|report)$/, 'admin'],
  [/^DELETE authority\/v1\/(instances|authorities|ceremonies\/newest)$/, 'admin'],
  [/^POST authority\/v1\/join-strings$/, 'admin'],
  [/^GET (authority|gateway)\/v1\/(status|record|policy)$/, 'admin'],
  [/^POST (authority|gateway)\/v1\/(policy|redactions)$/, 'admin'],
  [/^(GET|POST) gateway\/v1\/configuration$/, 'admin'],
  [/^POST gateway\/v1\/audit\/hmac$/, 'admin'],
  [/^(GET|POST|PUT|DELETE) gateway\/v1\/secrets$/, 'admin'],
  [/^(GET|DELETE) gateway\/v1\/grants$/, 'admin'],
  [/^GET gateway\/v1\/servers(\/definitions)?$/, 'admin'],
  [/^POST gateway\/v1\/servers\/approve$/, 'admin'],
  [/^GET (authority|gateway)\/metrics$/, 'admin'],
]

function known({ action, resource }: DecisionRequest, source: PolicySource): boolean {
  if (!(uses[`${action.group} ${resource.kind}`] ?? '').split(' ').includes(action.name)) return false
  if (!own.includes(resource.server))
    return source.servers.includes(resource.server) && (action.group !== 'admin' || resource.kind === 'tool')
  return knowsRoute(`${action.name} ${resource.server}${resource.name}`, action.group)
}

/** `GET gateway/v1/status`. */
export function knowsRoute(line: string, group: string): boolean {
  return ownRoutes.some(([route, own]) => own === group && route.test(line))
}

function glob(pattern: string, name: string): boolean {
  if (pattern === '') return name === ''
  if (pattern[0] === '*') return glob(pattern.slice(1), name) || (name !== '' && glob(pattern, name.slice(1)))
  return pattern[0] === name[0] && glob(pattern.slice(1), name.slice(1))
}

function bound(pattern: string, id: string): boolean {
  const want = pattern.split('/')
  const have = id.split('/')
  if (want.at(-1) === '**')
    return have.length >= want.length && want.slice(0, -1).every((part, i) => part === '*' || part === have[i])
  return want.length === have.length && want.every((part, i) => part === '*' || part === have[i])
}

function permits(permission: string, { action, resource }: DecisionRequest): boolean {
  const word = permission.split(':')[0] ?? ''
  const place = permission.slice(word.length + 1)
  const isGroup = ['read', 'write', 'admin', '*'].includes(word)
  const mine = own.includes(resource.server)
  const server = place.split('/')[0] ?? ''
  const here = place === '' ? !mine || word === 'admin' || word === '*' : server === resource.server
  if (action.group === 'session' && here && !mine) return true
  if (!here || (isGroup ? word !== '*' && word !== action.group : word !== action.name)) return false
  const name = resource.kind === 'route' ? resource.name.replace(/^\//, '') : resource.name
  return place === '' || glob(place.slice(server.length + 1), name)
}

function partyAllowed(
  request: DecisionRequest,
  source: PolicySource,
  id: string | null,
  given: readonly string[],
): boolean {
  const { action, resource, principal } = request
  const route = `${action.name} ${resource.server}${resource.kind === 'route' ? resource.name : ''}`
  if (principal.strength === 'mtls-enrolment' && route !== 'POST authority/v1/enrol') return false
  if (principal.strength === 'mtls-client-credentials' && route !== 'POST authority/v1/token') return false
  const bindings = source.bindings.filter(
    (binding) => id !== null && (binding.workloads ?? []).some((pattern) => bound(pattern, id)),
  )
  const roles = new Set([...given, ...bindings.map((binding) => binding.role)])
  const forItself = [
    'POST authority/v1/token',
    'POST authority/v1/login',
    'POST authority/v1/renew',
    'POST authority/v1/jwt-svid',
  ]
  if (id !== null && forItself.includes(route)) return true
  if (id !== null && route === 'POST authority/v1/enrol' && principal.strength === 'mtls-enrolment') return true
  if (route === 'GET gateway/v1/receipt') return true
  if (/^(GET gateway\/v1\/approvals(\/request)?|POST gateway\/v1\/approvals\/decision)$/.test(route)) return true
  const stream = ['GET authority/v1/trust-state', 'POST authority/v1/trust-state/ack'].includes(route)
  if (id !== null && stream) return true
  const decides = roles.has('gateway') || roles.has('doorward:callee')
  if (id !== null && decides && route === 'GET authority/v1/trust-state/full') return true
  const ofGateways = [
    'POST authority/v1/detections',
    'POST authority/v1/witness',
    'GET authority/v1/witness/log',
    'POST authority/v1/witness/cosignature',
  ].includes(route)
  if (roles.has('gateway') && ofGateways) return true
  return [...source.rbac, ...source.roles].some(
    (role) => roles.has(role.role) && role.permissions.some((text) => permits(text, request)),
  )
}

/** Allow or deny, by the text of the configuration alone. The configuration must be a valid one. */
export function referenceDecision(source: PolicySource, request: DecisionRequest): 'allow' | 'deny' {
  const { presenter, act, subject, roles } = request.principal
  if (!known(request, source)) return 'deny'
  const others = [...act.map((id) => id.uri), subject.kind === 'workload' ? subject.id.uri : null]
  const all = others.every((id) => id === presenter.uri || partyAllowed(request, source, id, []))
  return all && partyAllowed(request, source, presenter.uri, roles) ? 'allow' : 'deny'
}

/** Rules about approvals are about what is done on configured servers. */
function askedOf({ approvals }: PolicySource, request: DecisionRequest): readonly ApprovalDuty[] {
  if (request.action.group === 'session' || own.includes(request.resource.server)) return []
  const asked = (approvals?.rules ?? []).filter(({ permission }) => permits(permission, request))
  return [...new Set(asked.map(({ by }) => by))].map((by) => ({
    kind: 'approval',
    by,
    rules: asked.filter((rule) => rule.by === by).map(({ permission }) => `approval:${permission}`),
  }))
}

/** The reference as a decision port. */
export function referencePort(source: PolicySource): DecisionPort {
  const version = { digest: 'reference', sequence: 1 }
  const decide = async (request: DecisionRequest): Promise<Verdict> => {
    if (referenceDecision(source, request) === 'deny') {
      return { effect: 'deny', reason: 'none', policies: [], explanation: 'by reference', wouldAllow: null, version }
    }
    const lists =
      request.action.name.endsWith('/list') &&
      request.action.group === 'session' &&
      !request.action.name.startsWith('notifications/')
    const approvals = askedOf(source, request)
    const obligations: readonly Obligation[] = lists ? [{ kind: 'filter-list' }] : approvals
    return { effect: 'allow', policies: ['reference'], obligations, version }
  }
  const list = async (request: DecisionRequest): Promise<ListVerdict> => referenceDecision(source, request)
  const some = async (request: SomeRequest): Promise<ListVerdict> => {
    const { principal, action, server, kind, context } = request
    const patterns = [...source.rbac, ...source.roles].flatMap(({ permissions }) => permissions.map(nameOf))
    // A party may be allowed one name and another party another: each is asked by itself about each pattern as a name.
    const { presenter, act, subject } = principal
    if (subject.kind !== 'workload') return 'deny'
    const others = [...act, subject.id].filter(({ uri }) => uri !== presenter.uri)
    const alone = [presenter, ...others].map((id, i) => ({
      ...principal,
      presenter: id,
      act: [],
      subject: { kind: 'workload', id } as const,
      roles: i === 0 ? principal.roles : [],
    }))
    const mayHave = (one: DecisionRequest['principal']) =>
      patterns.some(
        (name) =>
          referenceDecision(source, { principal: one, action, resource: { server, kind, name }, context }) === 'allow',
      )
    return !own.includes(server) && alone.every(mayHave) ? 'depends' : 'deny'
  }
  return { decide, list, some }
}

/** Each pattern matches itself. */
function nameOf(permission: string): string {
  const place = permission.slice(permission.indexOf(':') + 1)
  return permission.includes(':') ? place.slice(place.indexOf('/') + 1) : 'x'
}
