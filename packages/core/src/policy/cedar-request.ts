/**
 * A decision as questions to Cedar: one per party of the call.
 *
 * Whoever acts for another is a party too, and every party must be allowed, so acting for another never yields
 * more than each of them has. Arguments, time and address are not handed over: no policy can mention them yet.
 */

import type { Principal, Subject } from '../identity/principal.ts'
import type { SpiffeId } from '../identity/spiffe-id.ts'
import { actionTable, isKnownUse } from './action.ts'
import { ownRoute, ownServers } from './builtin.ts'
import type { EntityType } from './cedar-text.ts'
import { boundRoles } from './compile.ts'
import type { CompiledPolicy } from './compile.ts'
import type { DecisionRequest } from './decision.ts'
import { resourceName } from './permission.ts'
import { entityTypes } from './schema.ts'

export interface CedarUid {
  readonly type: EntityType
  readonly id: string
}

export interface CedarEntity {
  readonly uid: CedarUid
  readonly attrs: Readonly<Record<string, string>>
  readonly parents: readonly CedarUid[]
}

/** One authorization request in Cedar's JSON form. Holds strings only. */
export interface CedarQuestion {
  readonly principal: CedarUid
  readonly action: CedarUid
  readonly resource: CedarUid
  readonly context: Readonly<Record<string, string>>
  readonly entities: readonly CedarEntity[]
}

const MAX_PARTIES = 6
const MAX_NAME = 8192

interface Party {
  readonly uid: CedarUid
  readonly roles: readonly string[]
}

function workloadParty(id: SpiffeId, given: readonly string[], policy: CompiledPolicy): Party {
  return { uid: { type: 'Workload', id: id.uri }, roles: [...new Set([...given, ...boundRoles(policy.bindings, id)])] }
}

function subjectParty(subject: Subject, policy: CompiledPolicy): Party {
  if (subject.kind === 'workload') return workloadParty(subject.id, [], policy)
  return { uid: { type: 'User', id: `${subject.issuer}#${subject.subject}` }, roles: [] }
}

/** The presenter first. Only the presenter has the roles of the trust state; the others have those of bindings. */
function parties(principal: Principal, policy: CompiledPolicy): readonly Party[] {
  const { presenter, subject, act, roles } = principal
  const first = workloadParty(presenter, roles, policy)
  const others = [...act.map((id) => workloadParty(id, [], policy)), subjectParty(subject, policy)]
  return [first, ...others.filter(({ uid }) => uid.type !== 'Workload' || uid.id !== presenter.uri)]
}

/** Why no policy can be asked: something in the request is unknown. Null when policy decides. For the operator. */
export function unknownPart(request: DecisionRequest, policy: CompiledPolicy): string | null {
  const { action, resource, principal } = request
  if (!actionTable.has(action.name)) return `unknown action ${JSON.stringify(action.name.slice(0, 60))}`
  if (!isKnownUse(action, resource.kind))
    return `${action.name} does not count as ${action.group} on a ${resource.kind}`
  if (!policy.servers.has(resource.server)) return `unknown server ${JSON.stringify(resource.server.slice(0, 60))}`
  if (resource.name.length > MAX_NAME)
    return `a name of ${resource.name.length} characters, at most ${MAX_NAME} are decided`
  if (!resource.name.isWellFormed()) return 'a name that is not well-formed Unicode'
  if (principal.act.length + 2 > MAX_PARTIES) return `a delegation chain of ${principal.act.length} actors`
  const own = ownServers.includes(resource.server)
  if (!own && resource.kind === 'route' && action.group === 'admin')
    return 'a route counts as admin on our own API only'
  const route = own ? ownRoute(resource.server, action.name, resource.name) : null
  if (own && route?.action.group !== action.group)
    return `unknown route ${action.name} ${resource.server}${resource.name.slice(0, 60)}`
  return null
}

const actionEntities: ReadonlyMap<string, CedarEntity> = new Map(
  [...actionTable.values()].map((row) => {
    const parents = row.uses.map((use): CedarUid => ({ type: 'Action', id: use.group }))
    return [row.name, { uid: { type: 'Action', id: row.name }, attrs: {}, parents }]
  }),
)

function resourceEntity(request: DecisionRequest): CedarEntity {
  const { server, kind } = request.resource
  const name = resourceName(request.resource)
  const parent: CedarUid = { type: 'Server', id: server }
  if (kind === 'server') return { uid: parent, attrs: { name }, parents: [] }
  return { uid: { type: entityTypes[kind], id: `${server}/${name}` }, attrs: { name }, parents: [parent] }
}

/** One question per party; allowed only when each is answered with allow. Ask `unknownPart` first. */
export function cedarQuestions(request: DecisionRequest, policy: CompiledPolicy): readonly CedarQuestion[] {
  const action = actionEntities.get(request.action.name)
  if (action === undefined) return []
  const resource = resourceEntity(request)
  const context = { effect: request.action.group, strength: request.principal.strength }
  return parties(request.principal, policy).map(({ uid, roles }) => {
    const parents = roles.map((id): CedarUid => ({ type: 'Role', id }))
    const entities = [{ uid, attrs: {}, parents }, action, resource]
    return { principal: uid, action: action.uid, resource: resource.uid, context, entities }
  })
}
