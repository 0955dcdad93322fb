/** What a decision is made about, as Cedar sees it: a request, and the entities that it may look at. */

import type { CedarRecord, EntityUid, Value } from './value.ts'

export interface Entity {
  readonly attributes: CedarRecord
  readonly tags: CedarRecord
  /** Keys (`EntityUid.key`) of every entity above it, however far. */
  readonly ancestors: ReadonlySet<string>
}

/** Null for an entity that does not exist. */
export interface Entities {
  readonly entity: (uid: EntityUid) => Entity | null
}

export interface World extends Entities {
  readonly principal: EntityUid
  readonly action: EntityUid
  readonly resource: EntityUid
  readonly context: CedarRecord
}

/** Whether the one is the other, or below it. */
export function isWithin(world: Entities, uid: EntityUid, above: EntityUid): boolean {
  if (uid.type === above.type && uid.id === above.id) return true
  return world.entity(uid)?.ancestors.has(above.key) === true
}

export const noValues: ReadonlyMap<string, Value> = new Map()
