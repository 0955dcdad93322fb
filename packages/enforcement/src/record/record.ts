/** The record as the pipeline sees it. */

import type { EntryKind } from '@doorward/core'
import type { EntryReference } from './reference.ts'

export interface RecordEntry {
  readonly kind: EntryKind
  /** What JSON calls an object; at most 256 KiB with its envelope. No secrets: nothing here removes them. */
  readonly body: object
  /** Nobody waits for it: it may wait some milliseconds for others to share its sync. False by default. */
  readonly patient?: boolean
}

/**
 * A log that this process writes.
 *
 * `append` resolves once the entry is on stable storage under its final index: indices are contiguous from 0 and an
 * acknowledged one is never given again. Entries get their order from the order of the calls; their times never
 * decrease. Safe for concurrent use. A rejection means that the caller has no record and must not go on:
 *
 * - `record_busy`: too much waits already; nothing was written.
 * - `record_unavailable`: the disk or the second copy failed; the log recovers by itself. The entry may still turn up
 *   in the log if the process dies before it recovers; it is never acknowledged.
 * - `record_forked`: somebody else has written this log's second copy; permanent until the process is restarted.
 * - `record_closed`, `entry_malformed`, `entry_too_large`.
 */
export interface Record {
  append(entry: RecordEntry): Promise<EntryReference>
}
