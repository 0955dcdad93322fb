/**
 * A note beside the log of what its writer is about to say of it, so that whoever comes after a crash can tell whether it
 * was said. Small and durable; one of each name.
 */

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isDoorwardError, parsePayload, utf8 } from '@doorward/core'
import type { EntryEnvelope, JournalFrame } from '@doorward/core'
import type { RecordDisk } from './disk.ts'
import { listSegments, readSegment } from './segment-files.ts'

export interface Intention {
  /** Entries that the log held before. */
  readonly after: number
  readonly [member: string]: unknown
}

export function intend(disk: RecordDisk, path: string, intention: Intention): Promise<void> {
  return disk.replace([{ path, bytes: utf8(JSON.stringify({ v: 1, ...intention })) }], 'durable')
}

/** Null when there is none, and for what is none: then nothing has been said that depends on it. */
export async function readIntention(path: string): Promise<Intention | null> {
  try {
    const value = JSON.parse(await readFile(path, 'utf8')) as Intention | null
    return typeof value === 'object' && Number.isSafeInteger(value?.after) ? value : null
  } catch (error) {
    if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}

export interface Search {
  readonly folder: string
  /** Where the journal begins. */
  readonly expired: number
  readonly after: number
  /** Exclusive. */
  readonly end: number
  readonly says: (entry: EntryEnvelope) => boolean
}

/** The first entry in a range that says so. Throws as `listSegments`. */
export async function findEntry({ folder, expired, after, end, says }: Search): Promise<number | null> {
  const segments = await listSegments(folder, expired)
  for (const [i, segment] of segments.entries()) {
    const next = segments[i + 1]?.header.first ?? Number.MAX_SAFE_INTEGER
    if (next <= after || segment.header.first >= end) continue
    const { frames } = await readSegment(segment)
    const found = frames.find((frame) => frame.index >= after && frame.index < end && isSaid(frame, says))
    if (found !== undefined) return found.index
  }
  return null
}

/** False for an entry whose payload is gone. */
export function isSaid({ payload }: JournalFrame, says: (entry: EntryEnvelope) => boolean): boolean {
  try {
    return says(parsePayload(payload))
  } catch (error) {
    if (isDoorwardError(error)) return false
    throw error
  }
}

/** Where the notes lie inside the log's folder. */
export const intentionPath = (folder: string, name: 'expiring' | 'redacting' | 'accepting'): string =>
  join(folder, name)
