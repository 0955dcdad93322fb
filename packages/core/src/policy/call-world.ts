/**
 * A call as Cedar sees it, once for each party. Whoever acts for another is a party too, and every party must be allowed,
 * so acting for another never yields more than each of them has.
 */

import type { Principal, Subject } from '../identity/principal.ts'
import type { SpiffeId } from '../identity/spiffe-id.ts'
import { actionTable } from './action.ts'
import { argumentRecord } from './arguments.ts'
import type { Arguments } from './argument-type.ts'
import type { CallClock } from './call-clock.ts'
import { unknown } from './cedar/possible.ts'
import type { Open } from './cedar/possible.ts'
import { EvaluationError } from './cedar/evaluation-error.ts'
import { IpAddress } from './cedar/ip-address.ts'
import type { ContextReads } from './cedar/reads.ts'
import { Unfit } from './cedar/unfit.ts'
import { CedarSet, EntityUid } from './cedar/value.ts'
import type { CedarRecord, Value } from './cedar/value.ts'
import { noValues } from './cedar/world.ts'
import type { Entity } from './cedar/world.ts'
import type { DecisionContext, DecisionRequest, Resource } from './decision.ts'
import { resourceName } from './permission.ts'
import type { RoleSet } from './role-set.ts'
import type { RolesOf } from './roles-of.ts'
import { entityTypes, takesArguments } from './schema.ts'

export interface Party {
  readonly uid: EntityUid
  readonly roles: RoleSet
  readonly entity: Entity
}

/** The world of one party. */
export interface CallWorld {
  readonly principal: EntityUid
  readonly action: EntityUid
  readonly resource: EntityUid
  readonly context: CedarRecord
  readonly entity: (uid: EntityUid) => Entity | null
}

const noAncestors: ReadonlySet<string> = new Set()

class PartyEntity implements Entity {
  readonly tags = noValues
  readonly ancestors: ReadonlySet<string>
  readonly #describe: () => CedarRecord
  #attributes: CedarRecord | null = null

  constructor(ancestors: ReadonlySet<string>, describe: () => CedarRecord) {
    this.ancestors = ancestors
    this.#describe = describe
  }

  get attributes(): CedarRecord {
    return (this.#attributes ??= this.#describe())
  }
}

function party(uid: EntityUid, roles: RoleSet, describe: () => CedarRecord): Party {
  return { uid, roles, entity: new PartyEntity(roles.keys, describe) }
}

function workloadParty(id: SpiffeId, roles: RoleSet): Party {
  return party(new EntityUid('Workload', id.uri), roles, () => {
    const { uri, trustDomain, segments } = id
    return new Map([
      ['id', uri],
      ['trustDomain', trustDomain],
      ['path', segments.join('/')],
    ])
  })
}

function subjectUid(subject: Subject): EntityUid {
  if (subject.kind === 'workload') return new EntityUid('Workload', subject.id.uri)
  return new EntityUid('User', `${subject.issuer}#${subject.subject}`)
}

function subjectParty(subject: Subject, rolesOf: RolesOf): Party {
  const roles = rolesOf.subject(subject)
  if (subject.kind === 'workload') return workloadParty(subject.id, roles)
  return party(
    subjectUid(subject),
    roles,
    () =>
      new Map<string, Value>([
        ['issuer', subject.issuer],
        ['subject', subject.subject],
        ['groups', new CedarSet(subject.groups)],
      ]),
  )
}

/** The presenter first. Only the presenter has the roles of the trust state; the others have those of bindings. */
export function partiesOf(principal: Principal, rolesOf: RolesOf): readonly [Party, ...Party[]] {
  const { presenter, subject, act, roles } = principal
  const first = workloadParty(presenter, rolesOf.workload(presenter, roles))
  if (act.length === 0 && subject.kind === 'workload' && subject.id.uri === presenter.uri) return [first]
  const others = [...act.map((id) => workloadParty(id, rolesOf.workload(id, []))), subjectParty(subject, rolesOf)]
  return [first, ...others.filter(({ uid }) => uid.type !== 'Workload' || uid.id !== presenter.uri)]
}

interface ActionEntity {
  readonly uid: EntityUid
  readonly entity: Entity
}

const actionEntities: ReadonlyMap<string, ActionEntity> = new Map(
  Array.from(actionTable.values(), ({ name, uses }) => {
    const ancestors = new Set(uses.map(({ group }) => new EntityUid('Action', group).key))
    const entity: Entity = { attributes: noValues, tags: noValues, ancestors }
    return [name, { uid: new EntityUid('Action', name), entity }]
  }),
)

function resourceParty(resource: Resource): {
  readonly uid: EntityUid
  readonly server: EntityUid
  readonly entity: Entity
} {
  const server = new EntityUid('Server', resource.server)
  const name = resourceName(resource)
  const attributes = new Map([['name', name]])
  if (resource.kind === 'server')
    return { uid: server, server, entity: { attributes, tags: noValues, ancestors: noAncestors } }
  const uid = new EntityUid(entityTypes[resource.kind], `${resource.server}/${name}`)
  return { uid, server, entity: { attributes, tags: noValues, ancestors: new Set([server.key]) } }
}

/** What a policy set has to know to describe a call. */
export interface Describing {
  readonly reads: ContextReads
  readonly clock: CallClock
  /** Arguments by `<server>/<tool>`. */
  readonly tools: ReadonlyMap<string, Arguments>
}

const noServerName: Entity = { attributes: new Map([['name', '']]), tags: noValues, ancestors: noAncestors }

/** One call, from which come the worlds of its parties. Null when the action is not known. */
export class Call {
  readonly parties: readonly [Party, ...Party[]]
  readonly #action: ActionEntity
  readonly #resource: ReturnType<typeof resourceParty>
  readonly #context: CedarRecord

  private constructor(request: DecisionRequest, action: ActionEntity, rolesOf: RolesOf, describing: Describing) {
    this.parties = partiesOf(request.principal, rolesOf)
    this.#action = action
    this.#resource = resourceParty(request.resource)
    this.#context = contextOf(request, describing)
  }

  static of(request: DecisionRequest, rolesOf: RolesOf, describing: Describing): Call | null {
    const action = actionEntities.get(request.action.name)
    return action === undefined ? null : new Call(request, action, rolesOf, describing)
  }

  world({ uid }: Party): CallWorld {
    return {
      principal: uid,
      action: this.#action.uid,
      resource: this.#resource.uid,
      context: this.#context,
      entity: this.#entity,
    }
  }

  /** As if the arguments were not known. */
  withoutArguments(
    world: CallWorld,
  ): Omit<CallWorld, 'context'> & { readonly context: ReadonlyMap<string, Value | Open> } {
    if (!world.context.has('args')) return world
    return { ...world, context: new Map<string, Value | Open>([...world.context, ['args', unknown]]) }
  }

  readonly #entity = (uid: EntityUid): Entity | null => {
    const { uid: resource, server, entity } = this.#resource
    if (isSame(resource, uid)) return entity
    for (const one of this.parties) if (isSame(one.uid, uid)) return one.entity
    if (isSame(this.#action.uid, uid)) return this.#action.entity
    return isSame(server, uid) ? noServerName : null
  }
}

function isSame(one: EntityUid, other: EntityUid): boolean {
  return one === other || (one.id === other.id && one.type === other.type)
}

function contextOf(
  { principal, action, resource, context: { args, timeSeconds, remoteAddress } }: DecisionRequest,
  { reads, clock, tools }: Describing,
): CedarRecord {
  const { attributes } = reads
  const wants = (name: string) => attributes === null || attributes.has(name)
  const context = new Map<string, Value>()
  if (wants('effect')) context.set('effect', action.group)
  if (wants('strength')) context.set('strength', principal.strength)
  if (wants('time')) context.set('time', clock.record(timeSeconds))
  if (wants('address')) context.set('address', addressOf(remoteAddress))
  if (wants('delegation')) context.set('delegation', delegationOf(principal))
  if (wants('args') && takesArguments.has(action.name)) {
    const known = resource.kind === 'tool' ? tools.get(`${resource.server}/${resource.name}`) : undefined
    context.set('args', argumentRecord(args, known?.type ?? null, reads.args))
  }
  return context
}

/** An IPv4 address inside an IPv6 one is that IPv4 address; the zone of a link-local one is left out. */
function addressOf(text: DecisionContext['remoteAddress']): Value {
  try {
    const [address = ''] = text.split('%')
    return IpAddress.parse(address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address)
  } catch (error) {
    if (!(error instanceof EvaluationError)) throw error
    return new Unfit('no IP address')
  }
}

/** `presenter`, `actors` (who acts, the presenter included), `depth` (hops), and `user` or `workload`: on whose behalf. */
function delegationOf(principal: Principal): CedarRecord {
  const { subject, act, presenter } = principal
  const forItself = act.length === 0 && subject.kind === 'workload' && subject.id.uri === presenter.uri
  const presenting = new EntityUid('Workload', presenter.uri)
  const record = new Map<string, Value>([
    ['presenter', presenting],
    ['actors', new CedarSet([presenting, ...act.map(({ uri }) => new EntityUid('Workload', uri))])],
    ['depth', forItself ? 0 : act.length + 1],
  ])
  if (!forItself) record.set(subject.kind, subjectUid(subject))
  return record
}
