/** How a join state is judged against what is held of its instance (reference id BS-2). Pure. */

import type { EpochSeconds } from '@doorward/core'
import type { Instance, Presentation } from '../authority/ports.ts'

/** In place of a join state that was forgotten with the rest of the store: the next one counts, whatever it is. */
export const anyState = '*'

/** Numbers of offers that were given out since a copy was made are lower than this much more. */
export const offersSinceCopy = 1_000_000

/** What of an instance its join states are judged by. */
export type StateHolder = Pick<Instance, 'instance' | 'sequence' | 'current' | 'offered' | 'locked' | 'seenAt'>

export function judgeState(held: StateHolder | null, hash: string | null): Presentation {
  if (held === null) return 'unknown'
  if (held.locked !== null) return 'locked'
  if (held.offered !== null && hash === held.offered.hash) return 'confirmed'
  return hash === held.current || held.current === anyState ? 'current' : 'regressed'
}

/** What is held of an instance that may go on. */
export function afterContact(held: StateHolder, presented: 'current' | 'confirmed', now: EpochSeconds): StateHolder {
  const seen = { ...held, seenAt: now }
  if (presented === 'current' || held.offered === null) return seen
  return { ...seen, sequence: held.sequence + 1, current: held.offered.hash, offered: null }
}
