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

export class ScopeIndex<Entry> {
  /** By the key of the principal, then by that of the resource. */
  readonly #entries = new Map<string, Map<string, Entry[]>>()
  /** Of the entities that are keys: others need not be looked for. */
  readonly #principalTypes = new Set<string>()
  readonly #resourceTypes = new Set<string>()

  constructor(entries: Iterable<readonly [Policy, Entry]>) {
    for (const [{ principal, resource }, entry] of entries) {
      const [under, at] = [onlyOf(principal), onlyOf(resource)]
      if (under !== null) this.#principalTypes.add(under.type)
      if (at !== null) this.#resourceTypes.add(at.type)
      this.#at(under?.key ?? OPEN, at?.key ?? OPEN).push(entry)
    }
  }

  /** Every entry whose policy may fit, once. What is left to ask of each is `remainderOf` its policy. */
  candidates(world: World): readonly (readonly Entry[])[] {
    const found: (readonly Entry[])[] = []
    const resources = keysAbove(world.resource, this.#resourceTypes, world)
    for (const principal of keysAbove(world.principal, this.#principalTypes, world)) {
      const under = this.#entries.get(principal)
      if (under === undefined) continue
      for (const resource of resources) {
        const entries = under.get(resource)
        if (entries !== undefined) found.push(entries)
      }
    }
    return found
  }

  #at(principal: string, resource: string): Entry[] {
    const under = this.#entries.get(principal) ?? new Map<string, Entry[]>()
    this.#entries.set(principal, under)
    const entries = under.get(resource) ?? []
    under.set(resource, entries)
    return entries
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
  readonly action: ActionTest | null
  readonly resource: Test | null
}

export function remainderOf({ principal, action, resource }: Policy): Remainder {
  return {
    principal: indexedTest(principal),
    action: actionTest(action),
    resource: indexedTest(resource),
  }
}

function actionTest(constraint: Constraint): ActionTest | null {
  switch (constraint.kind) {
    case 'any':
      return null
    case 'equal': {
      const { type, id } = constraint.uid
      return (uid) => uid.id === id && uid.type === type
    }
    case 'in': {
      const [only] = constraint.uids
      if (only === undefined || constraint.uids.length > 1) return (uid, _, world) => meets(constraint, uid, world)
      const { type, id, key } = only
      return (uid, entity) => entity?.ancestors.has(key) === true || (uid.id === id && uid.type === type)
    }
    case 'is':
      return (uid, _, world) => meets(constraint, uid, world)
  }
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

/** `known`: what is known of the action, which is asked for once for all candidates. */
export function remains({ principal, action, resource }: Remainder, world: World, known: Entity | null): boolean {
  return (
    (action === null || action(world.action, known, world)) &&
    (principal === null || principal(world.principal, world)) &&
    (resource === null || resource(world.resource, world))
  )
}
