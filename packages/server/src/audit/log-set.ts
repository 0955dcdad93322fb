/**
 * The logs of several writers, read as one: in the order of time, origin and index. Memory is bounded by one chunk of the
 * journal for each log. Checks no signature.
 */

import { setTimeout as sleep } from 'node:timers/promises'
import { DoorwardError, parsePayload } from '@doorward/core'
import type { EntryEnvelope, EpochMillis } from '@doorward/core'
import type { AbsentWhy } from './absent.ts'
import { claimedCheckpointOf, segmentsOf } from './log-folder.ts'
import { JournalReader } from './log-set-journal.ts'
import type { JournalEntry } from './log-set-journal.ts'

export interface LogFolder {
  readonly origin: string
  readonly folder: string
}

/** `absent`: the payload is gone, `why` says how. That the entry was written, and when, is proven all the same. */
export type EntryContent =
  | { readonly state: 'present'; readonly entry: EntryEnvelope }
  | { readonly state: 'absent'; readonly why: AbsentWhy }

export interface SetEntry {
  readonly origin: string
  readonly index: number
  readonly time: EpochMillis
  readonly content: EntryContent
}

export interface SetOptions {
  /** The newest entries of all logs together to begin with; from the first on by default. */
  readonly newest?: number
}

export interface FollowSetOptions extends SetOptions {
  readonly signal: AbortSignal
  /** Pause between looks; default 200. */
  readonly pollMilliseconds?: number
}

/** Before: negative. Two entries of one log never compare as equal. */
export function compareEntries(a: Omit<SetEntry, 'content'>, b: Omit<SetEntry, 'content'>): number {
  if (a.time !== b.time) return a.time - b.time
  if (a.origin !== b.origin) return a.origin < b.origin ? -1 : 1
  return a.index - b.index
}

/** Reads the content of an entry. Throws `entry_malformed`. */
export function contentOf({ frame, why }: JournalEntry): EntryContent {
  return frame === null
    ? { state: 'absent', why: why ?? 'missing' }
    : { state: 'present', entry: parsePayload(frame.payload) }
}

/**
 * Yields what the logs hold now, as far as checkpoints cover it. Throws `log_not_found` when there is no log in any of the
 * folders, `record_corrupt`, `entry_malformed` and `tile_missing`.
 */
export async function* readSet(logs: readonly LogFolder[], options: SetOptions = {}): AsyncGenerator<SetEntry> {
  const there = await Promise.all(logs.map(async ({ folder }) => (await segmentsOf(folder)).length > 0))
  if (!there.includes(true)) {
    throw new DoorwardError('log_not_found', 'there is no log here', {
      where: logs.map(({ folder }) => folder).join(', '),
    })
  }
  yield* (await OpenSet.open(logs, options)).advance()
}

/**
 * Yields what is there and waits for more until the signal aborts; logs that do not exist yet are waited for. What is found
 * in one look is in order; what a log publishes after it, may be older. Throws as `readSet`.
 */
export async function* followSet(logs: readonly LogFolder[], options: FollowSetOptions): AsyncGenerator<SetEntry> {
  const { signal, pollMilliseconds = 200 } = options
  const set = await OpenSet.open(logs, options)
  while (!signal.aborted) {
    for await (const entry of set.advance()) {
      yield entry
      if (signal.aborted) return
    }
    await sleep(pollMilliseconds, undefined, { signal }).catch(() => undefined)
  }
}

interface OpenLog {
  readonly origin: string
  readonly folder: string
  readonly reader: JournalReader
}

class OpenSet {
  readonly #logs: readonly OpenLog[]
  /** Entries that were opened only to find the newest of all logs. */
  #surplus: number

  private constructor(logs: readonly OpenLog[], surplus: number) {
    this.#logs = logs
    this.#surplus = surplus
  }

  static async open(logs: readonly LogFolder[], { newest = Number.MAX_SAFE_INTEGER }: SetOptions): Promise<OpenSet> {
    const sizes = await Promise.all(logs.map(({ folder }) => sizeOf(folder)))
    const opened = logs.map((log, i) => ({
      ...log,
      reader: new JournalReader(log.folder, Math.max(0, sizes[i]! - newest)),
    }))
    const found = sizes.reduce((sum, size) => sum + Math.min(size, newest), 0)
    return new OpenSet(opened, Math.max(0, found - newest))
  }

  /** Everything that checkpoints cover by now. */
  async *advance(): AsyncGenerator<SetEntry> {
    const sizes = await Promise.all(this.#logs.map(({ folder }) => sizeOf(folder)))
    for await (const entry of mergeEntries(
      this.#logs.map((log, i) => entriesOf(log, sizes[i]!)),
      compareEntries,
    )) {
      if (this.#surplus > 0) this.#surplus -= 1
      else yield entry
    }
  }
}

async function sizeOf(folder: string): Promise<number> {
  return (await claimedCheckpointOf(folder))?.size ?? 0
}

async function* entriesOf({ origin, reader }: OpenLog, size: number): AsyncGenerator<SetEntry> {
  for await (const found of reader.advance(size)) {
    yield { origin, index: found.index, time: found.time, content: contentOf(found) }
  }
}

/** Merges what is in order already; holds one item of each source. */
export async function* mergeEntries<T>(
  sources: readonly AsyncGenerator<T>[],
  compare: (a: T, b: T) => number,
): AsyncGenerator<T> {
  const heads = await Promise.all(sources.map((source) => source.next()))
  try {
    for (;;) {
      let least = -1
      for (const [i, head] of heads.entries()) {
        const before = heads[least]
        if (head.done === true) continue
        if (before === undefined || before.done === true || compare(head.value, before.value) < 0) least = i
      }
      const next = heads[least]
      if (next === undefined || next.done === true) return
      yield next.value
      heads[least] = await sources[least]!.next()
    }
  } finally {
    await Promise.all(sources.map((source) => source.return(undefined)))
  }
}
