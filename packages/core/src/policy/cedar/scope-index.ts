/**
 * Policies under the principal and the resource that their scopes name: what is asked of one server for one role never
 * meets the policies of others, however many there are.
 */

import type { Constraint, Policy } from './expression.ts'
import { meets } from './scope.ts'
import type { EntityUid } from './value.ts'
import type { World } from './world.ts'

/** The key of what names no entity, or several. An entity's key is never empty. */
const OPEN = ''

export class ScopeIndex<Entry> {
  /** By the key of the principal, then by that of the resource. */
  readonly #entries = new Map<string, Map<string, Entry[]>>()

  constructor(entries: Iterable<readonly [Policy, Entry]>) {
    for (const [{ principal, resource }, entry] of entries) this.#at(keyOf(principal), keyOf(resource)).push(entry)
  }

  /** Every entry whose policy may fit, once. What is left to ask of each is `remainderOf` its policy. */
  candidates(world: World): readonly (readonly Entry[])[] {
    const found: (readonly Entry[])[] = []
    const resources = keysAbove(world.resource, world)
    for (const principal of keysAbove(world.principal, world)) {
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

/** Of the only entity that it, or what is below it, meets. */
function keyOf(constraint: Constraint): string {
  switch (constraint.kind) {
    case 'any':
      return OPEN
    case 'equal':
      return constraint.uid.key
    case 'in': {
      const [only] = constraint.uids
      return only === undefined || constraint.uids.length > 1 ? OPEN : only.key
    }
    case 'is':
      return constraint.within === null ? OPEN : constraint.within.key
  }
}

/** Each key once. */
function keysAbove(uid: EntityUid, world: World): readonly string[] {
  const keys = [OPEN, uid.key]
  const ancestors = world.entity(uid)?.ancestors
  if (ancestors !== undefined) for (const key of ancestors) if (key !== uid.key) keys.push(key)
  return keys
}

type Test = (uid: EntityUid, world: World) => boolean

/** What a scope asks of a candidate beyond where the index has found it; null for nothing. */
export interface Remainder {
  readonly principal: Test | null
  readonly action: Test | null
  readonly resource: Test | null
}

export function remainderOf({ principal, action, resource }: Policy): Remainder {
  return {
    principal: indexedTest(principal),
    action: action.kind === 'any' ? null : (uid, world) => meets(action, uid, world),
    resource: indexedTest(resource),
  }
}

function indexedTest(constraint: Constraint): Test | null {
  switch (constraint.kind) {
    case 'any':
      return null
    case 'equal': {
      // It may have been found under the key of an ancestor.
      const { key } = constraint.uid
      return (uid) => uid.key === key
    }
    case 'in':
      return keyOf(constraint) === OPEN ? (uid, world) => meets(constraint, uid, world) : null
    case 'is': {
      const { type } = constraint
      return (uid) => uid.type === type
    }
  }
}

export function remains({ principal, action, resource }: Remainder, world: World): boolean {
  return (
    (principal === null || principal(world.principal, world)) &&
    (resource === null || resource(world.resource, world)) &&
    (action === null || action(world.action, world))
  )
}
