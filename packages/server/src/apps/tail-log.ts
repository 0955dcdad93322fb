/** The newest entries of a log, and what comes after them. */

import { claimedCheckpointOf } from '../audit/log-folder.ts'
import { followEntries, readEntries } from '../audit/read.ts'
import type { LoggedEntry } from '../audit/read.ts'
import type { LogPlace } from './log-places.ts'

export interface TailOptions {
  /** How many entries to begin with. */
  readonly lines: number
  /** Ends the following; null reads what is there and ends. */
  readonly follow: AbortSignal | null
}

/** Throws `log_not_found` and the codes of reading. */
export async function* tailLog(place: LogPlace, { lines, follow }: TailOptions): AsyncGenerator<LoggedEntry> {
  const size = (await claimedCheckpointOf(place.folder))?.size ?? 0
  const from = Math.max(0, size - lines)
  yield* follow === null ? readEntries(place.folder, { from }) : followEntries(place.folder, { from, signal: follow })
}
