/** Reads this authority's own log at start: what it knows of itself, beside a store that others can write. */

import { compareStates, DoorwardError } from '@doorward/core'
import type { Clock, EpochMillis } from '@doorward/core'
import { readBack } from '../audit/read-back.ts'
import type { ReadSegment } from '../audit/read-back.ts'
import { Ledger } from '../authority/ledger.ts'
import type { StoredVersion } from '../authority/ledger.ts'
import { factKinds, FactReader, longestLifeSeconds } from '../authority/log-fact.ts'
import type { LogFact } from '../authority/log-fact.ts'
import type { AuthorityStore } from '../authority/ports.ts'
import { restoreJump } from '../authority/restore.ts'

export interface Memory {
  readonly ledger: Ledger
  /** Time of the newest entry; null for a new log. */
  readonly newestTime: EpochMillis | null
  /** Reads on, back to what nothing of can be alive any more. Stops when the signal aborts. */
  readonly readOn: (signal: AbortSignal) => Promise<void>
}

/** So much of the log is read before anything is served: the newest trust state is in it, or there is none. */
const MAX_FIRST_BYTES = 64 * 1024 * 1024
const MAX_BYTES = 512 * 1024 * 1024
/** Entries that carry keys forward are written twice a day; without one, as far as keys may live. */
const longestKeyMilliseconds = 9 * 86_400_000

/** How far back `readOn` may read: what is younger must not expire from an authority's log. */
export const memoryMilliseconds = Math.max(longestKeyMilliseconds, longestLifeSeconds * 1000)

/** Throws the codes of reading the log. */
export async function openMemory(recordFolder: string, clock: Clock): Promise<Memory> {
  const segments = readBack(recordFolder, factKinds)
  const ledger = new Ledger()
  const progress = {
    bytes: 0,
    carried: false,
    newestTime: null as EpochMillis | null,
    oldestTime: null as EpochMillis | null,
  }
  const next = async (): Promise<boolean> => {
    const { value: segment, done } = await segments.next()
    if (done === true) return false
    takeSegment(segment, ledger, progress)
    return true
  }
  while (ledger.newest === null && progress.bytes < MAX_FIRST_BYTES) if (!(await next())) break
  const far = () => isFarEnough(progress, clock())
  return {
    ledger,
    newestTime: progress.newestTime,
    readOn: async (signal) => {
      while (!signal.aborted && !far() && progress.bytes < MAX_BYTES) if (!(await next())) return ledger.completed()
      if (far()) ledger.completed()
    },
  }
}

interface Progress {
  bytes: number
  carried: boolean
  newestTime: EpochMillis | null
  oldestTime: EpochMillis | null
}

function takeSegment({ entries, bytes, firstTime, lastTime }: ReadSegment, ledger: Ledger, progress: Progress): void {
  progress.bytes += bytes
  progress.newestTime ??= lastTime
  progress.oldestTime = firstTime ?? progress.oldestTime
  const reader = new FactReader()
  for (const entry of entries) {
    const fact: LogFact | null = reader.read(entry)
    if (fact === null) continue
    ledger.take(fact)
    progress.carried ||= entry.body['change'] === 'keys'
  }
}

function isFarEnough({ oldestTime, carried }: Progress, now: EpochMillis): boolean {
  const wanted = carried ? longestLifeSeconds * 1000 : longestKeyMilliseconds
  return oldestTime !== null && oldestTime < now - wanted
}

/** A store that is older than what our log knows that it has held; null when it is not. */
export interface OlderStore {
  readonly held: StoredVersion
  readonly newest: StoredVersion
}

/** Compares the store with our log. One that another authority has put right knows nothing of what only we have recorded. */
export async function olderStore(store: AuthorityStore, { newest }: Ledger): Promise<OlderStore | null> {
  const held = await heldBy(store)
  if (newest === null || held === null) return null
  const isOlder = compareStates(held, newest) === 'older' || held.epoch < newest.epoch
  return isOlder || held.sequence - newest.sequence >= restoreJump ? { held, newest } : null
}

/** A copy that was put back forgets denials, and what would be signed by it everybody has seen differently. */
export function storeRestored({ held, newest }: OlderStore): DoorwardError {
  return new DoorwardError(
    'store_restored',
    'the store is not the one that this authority has recorded: an older copy was put back',
    {
      expected: `what follows ${show(newest)}`,
      got: show(held),
      next: 'put the newest copy of the store back; when there is none, start once with doorward authority run --after-restore: it repeats what the log knows, and everyone proves themselves anew',
    },
  )
}

async function heldBy(store: AuthorityStore): Promise<StoredVersion | null> {
  const domain = await store.domain.read()
  const version = await store.trust.newestVersion()
  return domain === null ? null : { delegation: 0, sequence: 0, ...version, epoch: domain.epoch }
}

function show({ delegation, sequence, epoch }: StoredVersion): string {
  return `trust state (${delegation}, ${sequence}) of epoch ${epoch}`
}
