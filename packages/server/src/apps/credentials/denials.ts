/** Whom the trust state denies, for what is kept in their names. */

import { toSeconds } from '@doorward/core'
import type { EpochMillis } from '@doorward/core'
import type { TrustView } from '@doorward/enforcement'

export interface Denials {
  /** Whether what was given to that name by then counts no more. */
  isDenied(name: string, since: number): boolean
  /** Seconds since 1970 as denials are dated: no stepped clock of the machine makes anything younger or older. */
  nowSeconds(): number
  /** Called with each new state; the function ends it. */
  onChange(listener: () => void): () => void
}

/** Denials are dated by the second: nothing is let pass for that. */
export function denialsOf(trust: {
  current(): Pick<TrustView, 'deniedIdentities'> | null
  now(): EpochMillis
  onApply(listener: () => void): () => void
}): Denials {
  return {
    isDenied: (name, since) => {
      const before = trust.current()?.deniedIdentities.get(name)
      return before !== undefined && since <= before
    },
    nowSeconds: () => toSeconds(trust.now()),
    onChange: (listener) => trust.onApply(listener),
  }
}
