/** Whether an entity is what a scope demands. */

import type { Constraint } from './expression.ts'
import type { EntityUid } from './value.ts'
import { isWithin } from './world.ts'
import type { Entities } from './world.ts'

export function meets(constraint: Constraint, uid: EntityUid, entities: Entities): boolean {
  switch (constraint.kind) {
    case 'any':
      return true
    case 'equal':
      return constraint.uid.type === uid.type && constraint.uid.id === uid.id
    case 'in':
      return constraint.uids.some((above) => isWithin(entities, uid, above))
    case 'is':
      return constraint.type === uid.type && (constraint.within === null || isWithin(entities, uid, constraint.within))
  }
}
