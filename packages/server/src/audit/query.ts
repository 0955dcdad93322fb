/**
 * Looking for entries in the logs of several writers, newest first. The index says where to look; what is told stands in
 * the journal and matches.
 */

import { DoorwardError, isDoorwardError } from '@doorward/core'
import type { NoteVerifier } from '@doorward/core'
import type { IndexFile, IndexRow } from './index-file.ts'
import { openIndex } from './index-update.ts'
import type { IndexedLog } from './index-update.ts'
import { compareEntries, contentOf, mergeEntries } from './log-set.ts'
import type { SetEntry } from './log-set.ts'
import { EntryLookup } from './log-set-journal.ts'
import { newestCheckpoint } from './prove.ts'
import { factsOf, matchesFilter, sameFacts } from './query-filter.ts'
import type { QueryFilter } from './query-filter.ts'

export interface QueriedLog extends IndexedLog {
  readonly origin: string
  readonly verifier: NoteVerifier
}

export interface QueryHit extends SetEntry {
  /** The second entry of a call; null when there is none, or none yet. */
  readonly outcome: SetEntry | null
}

export interface QueryOptions {
  readonly filter: QueryFilter
  /** Hits at most. */
  readonly limit: number
  /** Throws every index away and reads the logs anew. */
  readonly rebuild?: boolean
}

/**
 * Yields the newest hits of all logs in the order of time, origin and index, backwards. Throws the codes of `openIndex` and
 * of `newestCheckpoint`.
 */
export async function* queryLogs(logs: readonly QueriedLog[], options: QueryOptions): AsyncGenerator<QueryHit> {
  const { filter, limit } = options
  const asked = logs.filter(({ origin }) => filter.id === null || filter.id.origin === origin)
  const found = asked.map((log) => hitsIn(log, options))
  let left = limit
  if (left === 0) return
  for await (const hit of mergeEntries(found, (a, b) => compareEntries(b, a))) {
    yield hit
    if (--left === 0) return
  }
}

const PAGE = 200

/** The index is thrown away once when it turns out not to say what the journal says; a second time is an error. */
async function* hitsIn(log: QueriedLog, { filter, rebuild = false }: QueryOptions): AsyncGenerator<QueryHit> {
  let below = Number.MAX_SAFE_INTEGER
  for (const anew of rebuild ? [true] : [false, true]) {
    try {
      for await (const hit of hitsBelow(log, { filter, below, anew })) {
        yield hit
        below = hit.index
      }
      return
    } catch (error) {
      if (anew || !isDoorwardError(error, 'index_unusable')) throw error
    }
  }
}

interface Range {
  readonly filter: QueryFilter
  readonly below: number
  readonly anew: boolean
}

async function* hitsBelow(log: QueriedLog, { filter, below, anew }: Range): AsyncGenerator<QueryHit> {
  const checkpoint = await newestCheckpoint(log)
  const file = await openIndex(log, checkpoint, anew)
  try {
    const reading = { log, file, lookup: new EntryLookup(log.folder), size: checkpoint.size }
    let end = Math.min(below, checkpoint.size)
    for (;;) {
      const rows = file.find(filter, { below: end, limit: PAGE })
      for (const row of rows) {
        const entry = await entryOf(reading, row)
        if (matchesFilter(entry, filter)) yield { ...entry, outcome: await outcomeOf(reading, entry) }
      }
      if (rows.length < PAGE) return
      end = rows.at(-1)!.index
    }
  } finally {
    file.close()
  }
}

interface Reading {
  readonly log: QueriedLog
  readonly file: IndexFile
  readonly lookup: EntryLookup
  readonly size: number
}

/** The entry as the journal has it. Throws `index_unusable` when the index says something else about it. */
async function entryOf({ log, file, lookup, size }: Reading, row: IndexRow): Promise<SetEntry> {
  const found = await lookup.readAt(row.index, size, row.place)
  const content = contentOf(found)
  const facts = content.state === 'absent' ? null : factsOf(content.entry)
  if (found.time !== row.time || (facts !== null && !sameFacts(facts, row.facts))) throw contradicted(log, row)
  if (facts === null && row.facts !== null) file.forget(row.index)
  return { origin: log.origin, index: row.index, time: found.time, content }
}

async function outcomeOf(reading: Reading, { index, content }: SetEntry): Promise<SetEntry | null> {
  if (content.state === 'absent' || content.entry.kind !== 'decision') return null
  const row = reading.file.outcomeOf(index)
  return row === null ? null : entryOf(reading, row)
}

function contradicted({ origin }: QueriedLog, { index }: IndexRow): DoorwardError {
  return new DoorwardError('index_unusable', 'the index says something else than the journal', {
    where: `${origin}#${index}`,
  })
}
