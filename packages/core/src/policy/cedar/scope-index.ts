/**
 * Policies under the principal and the resource that their scopes name: what is asked of one server for one role never
 * meets the policies of others, however many there are.
 */

import type { Constraint, Policy } from './expression.ts'
import { meets } from './scope.ts'
import type { EntityUid } from './value.ts'
import type { Entity, World } from './world.ts'

/** The key of what names no entity, or several. An entity's key is never empty. */
const OPEN = ''

interface Slot<Entry> {
  readonly entries: { readonly action: ActionTest | null; readonly entry: Entry }[]
  /** Of actions that are known beforehand, those of the entries that name the action. */
  readonly byAction: Map<EntityUid, readonly Entry[]>
}

export class ScopeIndex<Entry> {
  /** By the key of the principal, then by that of the resource. */
  readonly #slots = new Map<string, Map<string, Slot<Entry>>>()
  /** Of the entities that are keys: others need not be looked for. */
  readonly #principalTypes = new Set<string>()
  readonly #resourceTypes = new Set<string>()
  readonly #actions: ReadonlySet<EntityUid>

  /** `actions`: those that are the same object, and the same entity, in every world. */
  constructor(entries: Iterable<readonly [Policy, Entry]>, actions: ReadonlySet<EntityUid>) {
    this.#actions = actions
    for (const [{ principal, action, resource }, entry] of entries) {
      const [under, at] = [onlyOf(principal), onlyOf(resource)]
      if (under !== null) this.#principalTypes.add(under.type)
      if (at !== null) this.#resourceTypes.add(at.type)
      this.#at(under?.key ?? OPEN, at?.key ?? OPEN).entries.push({ action: actionTest(action), entry })
    }
  }

  /** Every entry whose policy may fit, once. What is left to ask of each is `remainderOf` its policy. */
  candidates(world: World): readonly (readonly Entry[])[] {
    const found: (readonly Entry[])[] = []
    const resources = keysAbove(world.resource, this.#resourceTypes, world)
    for (const principal of keysAbove(world.principal, this.#principalTypes, world)) {
      const under = this.#slots.get(principal)
      if (under === undefined) continue
      for (const resource of resources) {
        const slot = under.get(resource)
        if (slot !== undefined) found.push(slot.byAction.get(world.action) ?? this.#ofAction(slot, world))
      }
    }
    return found
  }

  /** Every entry whose policy may fit the principal, whatever it does to whatever. */
  *ofPrincipal(world: World): Iterable<Entry> {
    for (const principal of keysAbove(world.principal, this.#principalTypes, world))
      for (const { entries } of this.#slots.get(principal)?.values() ?? []) for (const { entry } of entries) yield entry
  }

  #ofAction({ entries, byAction }: Slot<Entry>, world: World): readonly Entry[] {
    const known = world.entity(world.action)
    const fitting = entries.filter(({ action }) => action === null || action(world.action, known, world))
    const some = fitting.map(({ entry }) => entry)
    if (this.#actions.has(world.action)) byAction.set(world.action, some)
    return some
  }

  #at(principal: string, resource: string): Slot<Entry> {
    const under = this.#slots.get(principal) ?? new Map<string, Slot<Entry>>()
    this.#slots.set(principal, under)
    const slot = under.get(resource) ?? { entries: [], byAction: new Map() }
    under.set(resource, slot)
    return slot
  }
}

/** The only entity that it, or what is below it, meets; null for none, or several. */
function onlyOf(constraint: Constraint): EntityUid | null {
  switch (constraint.kind) {
    case 'any':
      return null
    case 'equal':
      return constraint.uid
    case 'in':
      return constraint.uids.length === 1 ? (constraint.uids[0] ?? null) : null
    case 'is':
      return constraint.within
  }
}

/** Each key once. */
function keysAbove(uid: EntityUid, types: ReadonlySet<string>, world: World): readonly string[] {
  const keys = types.has(uid.type) ? [OPEN, uid.key] : [OPEN]
  const ancestors = world.entity(uid)?.ancestors
  if (ancestors !== undefined) for (const key of ancestors) if (key !== keys[1]) keys.push(key)
  return keys
}

type Test = (uid: EntityUid, world: World) => boolean
/** `entity`: what is known of the action. */
type ActionTest = (uid: EntityUid, entity: Entity | null, world: World) => boolean

/** What a scope asks of a candidate beyond where the index has found it; null for nothing. */
export interface Remainder {
  readonly principal: Test | null
  readonly resource: Test | null
}

export function remainderOf({ principal, resource }: Policy): Remainder {
  return { principal: indexedTest(principal), resource: indexedTest(resource) }
}

function actionTest(constraint: Constraint): ActionTest | null {
  if (constraint.kind === 'any') return null
  const only = constraint.kind === 'in' ? onlyOf(constraint) : null
  if (only === null) return (uid, _, world) => meets(constraint, uid, world)
  const { type, id, key } = only
  return (uid, entity) => (uid.id === id && uid.type === type) || entity?.ancestors.has(key) === true
}

function indexedTest(constraint: Constraint): Test | null {
  switch (constraint.kind) {
    case 'any':
      return null
    case 'equal': {
      // It may have been found under the key of an ancestor.
      const { type, id } = constraint.uid
      return (uid) => uid.id === id && uid.type === type
    }
    case 'in':
      return onlyOf(constraint) === null ? (uid, world) => meets(constraint, uid, world) : null
    case 'is': {
      const { type } = constraint
      return (uid) => uid.type === type
    }
  }
}

export function remains({ principal, resource }: Remainder, world: World): boolean {
  return (
    (principal === null || principal(world.principal, world)) && (resource === null || resource(world.resource, world))
  )
}
