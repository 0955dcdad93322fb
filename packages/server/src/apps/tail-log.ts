/** The newest entries of one or more logs, and what comes after them. */

import { followSet, readSet } from '../audit/log-set.ts'
import type { SetEntry } from '../audit/log-set.ts'
import type { LogPlace } from './log-places.ts'

export type { SetEntry } from '../audit/log-set.ts'

export interface TailOptions {
  /** How many entries to begin with. */
  readonly lines: number
  /** Ends the following; null reads what is there and ends. */
  readonly follow: AbortSignal | null
}

/** In the order of time, origin and index. Throws `log_not_found` and the codes of reading. */
export function tailLogs(places: readonly LogPlace[], { lines, follow }: TailOptions): AsyncGenerator<SetEntry> {
  return follow === null ? readSet(places, { newest: lines }) : followSet(places, { newest: lines, signal: follow })
}
