/**
 * A call as Cedar sees it, once for each party. Whoever acts for another is a party too, and every party must be allowed,
 * so acting for another never yields more than each of them has.
 */

import type { Principal, Subject } from '../identity/principal.ts'
import type { SpiffeId } from '../identity/spiffe-id.ts'
import { actionTable } from './action.ts'
import { subjectUid } from './call-context.ts'
import type { CallContexts } from './call-context.ts'
import { someEntity, unknown } from './cedar/possible.ts'
import type { Open, PartialWorld } from './cedar/possible.ts'
import { CedarSet, EntityUid } from './cedar/value.ts'
import type { CedarRecord, Value } from './cedar/value.ts'
import { noValues } from './cedar/world.ts'
import type { Entity } from './cedar/world.ts'
import type { DecisionRequest, Resource, ResourceKind } from './decision.ts'
import { resourceName } from './permission.ts'
import type { RoleSet } from './role-set.ts'
import type { RolesOf } from './roles-of.ts'
import { entityTypes } from './schema.ts'

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

function subjectParty(subject: Subject, rolesOf: RolesOf, given: Principal['given']): Party {
  if (subject.kind === 'workload')
    return workloadParty(subject.id, rolesOf.workload(subject.id, given?.get(subject.id.uri) ?? []))
  const roles = rolesOf.subject(subject)
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

/** The presenter first, then whoever stands between, then the subject. Workloads have the roles of the trust state and of bindings. */
export function partiesOf(principal: Principal, rolesOf: RolesOf): readonly [Party, ...Party[]] {
  const { presenter, subject, act, roles, given } = principal
  const first = workloadParty(presenter, rolesOf.workload(presenter, roles))
  if (act.length === 0 && subject.kind === 'workload' && subject.id.uri === presenter.uri) return [first]
  const between = act.map((id) => workloadParty(id, rolesOf.workload(id, given?.get(id.uri) ?? [])))
  const others = [...between, subjectParty(subject, rolesOf, given)]
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

/** The same objects in every call. */
export const actionUids: ReadonlySet<EntityUid> = new Set(Array.from(actionEntities.values(), ({ uid }) => uid))

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

const noServerName: Entity = { attributes: new Map([['name', '']]), tags: noValues, ancestors: noAncestors }

/** One call, from which come the worlds of its parties. Null when the action is not known. */
export class Call {
  readonly parties: readonly [Party, ...Party[]]
  readonly #action: ActionEntity
  readonly #resource: ReturnType<typeof resourceParty>
  readonly #context: CedarRecord

  private constructor(request: DecisionRequest, action: ActionEntity, rolesOf: RolesOf, contexts: CallContexts) {
    this.parties = partiesOf(request.principal, rolesOf)
    this.#action = action
    this.#resource = resourceParty(request.resource)
    this.#context = contexts.of(request)
  }

  static of(request: DecisionRequest, rolesOf: RolesOf, contexts: CallContexts): Call | null {
    const action = actionEntities.get(request.action.name)
    return action === undefined ? null : new Call(request, action, rolesOf, contexts)
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

  /** As if the arguments were not known, nor of the resource more than that it is of this kind on the server. */
  ofSome(world: CallWorld, kind: ResourceKind): PartialWorld {
    const type = entityTypes[kind]
    const resource = someEntity(type, new Set([this.#resource.server.key]))
    return { ...this.withoutArguments(world), resource, opaque: (uid) => uid.type === type }
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
