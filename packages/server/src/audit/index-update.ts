/** Keeping the index of a log up to date: it reads on from where it came to, and begins anew where it is not of this log. */

import { equalBytes, isDoorwardError, rangeRoot } from '@doorward/core'
import type { Sha256, SignedCheckpoint } from '@doorward/core'
import { IndexFile } from './index-file.ts'
import type { IndexCursor, IndexRow } from './index-file.ts'
import { segmentsOf } from './log-folder.ts'
import { contentOf } from './log-set.ts'
import { JournalReader } from './log-set-journal.ts'
import type { JournalEntry } from './log-set-journal.ts'
import { subtreesIn } from './prove-tiles.ts'
import { factsOf } from './query-filter.ts'

export interface IndexedLog {
  readonly folder: string
  /** A folder of the index alone. */
  readonly indexFolder: string
  /** The log's key as text. */
  readonly vkey: string
  readonly sha256: Sha256
  /** Called after each batch, and before the first with what is known already. */
  readonly onProgress?: (progress: { readonly entries: number; readonly expected: number }) => void
}

const BATCH = 2000

/**
 * The index of everything that the checkpoint covers. `anew`: whatever there is, is thrown away. Throws `index_busy`,
 * `index_unavailable`, `index_unusable` when a new one is damaged at once, and the codes of reading the log.
 */
export async function openIndex(log: IndexedLog, checkpoint: SignedCheckpoint, anew = false): Promise<IndexFile> {
  if (anew) IndexFile.remove(log.indexFolder)
  const known = anew ? null : await openKnown(log, checkpoint)
  if (known === null) IndexFile.remove(log.indexFolder)
  const file = known ?? IndexFile.open(log.indexFolder)
  try {
    await update(file, log, checkpoint)
    return file
  } catch (error) {
    file.close()
    throw error
  }
}

/** The index that is there; null when it is damaged, or of another log than the one that was signed. */
async function openKnown(log: IndexedLog, checkpoint: SignedCheckpoint): Promise<IndexFile | null> {
  let file: IndexFile | null = null
  try {
    file = IndexFile.open(log.indexFolder)
    if (await isOf(file, log, checkpoint)) return file
    file.close()
  } catch (error) {
    file?.close()
    if (!isDoorwardError(error, 'index_unusable')) throw error
  }
  return null
}

async function isOf(file: IndexFile, log: IndexedLog, { origin, size }: SignedCheckpoint): Promise<boolean> {
  const cursor = file.cursor()
  if (cursor === null) return true
  if (cursor.origin !== origin || cursor.vkey !== log.vkey || cursor.size > size) return false
  const first = await firstOf(log)
  // Whoever has put segments back has changed what the index says of them.
  if (first < cursor.first || !equalBytes(cursor.root, await rootAt(log, cursor.size, size))) return false
  // What has expired since then must not be left in the index.
  if (first > cursor.first) file.expire(first)
  return true
}

async function firstOf({ folder }: IndexedLog): Promise<number> {
  return (await segmentsOf(folder))[0]?.first ?? 0
}

/** The root over the first `part` entries, by the tiles of the tree of `size`. */
function rootAt({ folder, sha256 }: IndexedLog, part: number, size: number): Promise<Uint8Array> {
  return rangeRoot(sha256, [0, part], subtreesIn(folder, size, sha256))
}

async function update(file: IndexFile, log: IndexedLog, checkpoint: SignedCheckpoint): Promise<void> {
  const first = await firstOf(log)
  const { origin, size } = checkpoint
  for (;;) {
    const from = file.cursor()?.size ?? 0
    if (from >= size && file.cursor() !== null) return
    const cursorAt = async (part: number): Promise<IndexCursor> => ({
      origin,
      vkey: log.vkey,
      size: part,
      root: await rootAt(log, part, size),
      first,
    })
    await readOn(file, { log, from, size, cursorAt })
  }
}

interface Reading {
  readonly log: IndexedLog
  readonly from: number
  readonly size: number
  readonly cursorAt: (part: number) => Promise<IndexCursor>
}

/** Reads to the end, or until another process turns out to be doing the same. */
async function readOn(file: IndexFile, { log, from, size, cursorAt }: Reading): Promise<void> {
  let batch: IndexRow[] = []
  let stored = from
  const store = async (): Promise<boolean> => {
    const to = stored + batch.length
    const isNext = file.append(batch, { from: stored, to: await cursorAt(to) })
    stored = to
    batch = []
    log.onProgress?.({ entries: stored, expected: size })
    return isNext
  }
  for await (const entry of new JournalReader(log.folder, from).advance(size)) {
    batch.push(rowOf(entry))
    if (batch.length === BATCH && !(await store())) return
  }
  await store()
}

function rowOf(found: JournalEntry): IndexRow {
  const { index, time, place } = found
  const content = contentOf(found)
  return { index, time, place, facts: content.state === 'absent' ? null : factsOf(content.entry) }
}
