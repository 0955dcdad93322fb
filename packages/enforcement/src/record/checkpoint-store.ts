/** The second place that remembers how far the log has come. */

/**
 * Keeps the newest checkpoint of one log as its signed note, away from the log.
 *
 * `compareAndSwap` stores `next` and resolves true only if the stored note is exactly `expected` (null: none), as one
 * atomic step across all processes; otherwise false, and nothing changes. True means durable. A rejection leaves it
 * open whether `next` was stored; `newest` tells. `newest` never returns a torn or an older note than one that was
 * acknowledged.
 */
export interface CheckpointStore {
  compareAndSwap(expected: string | null, next: string): Promise<boolean>
  newest(): Promise<string | null>
}
