/** A log's folder as a reader finds it, beside a writer that may be at work. */

import { open, readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import {
  CHECKPOINT_FILE,
  DoorwardError,
  EXPIRY_FILE,
  MAX_SEGMENT_HEADER_BYTES,
  SEGMENTS_FOLDER,
  parseCheckpoint,
  parseExpiry,
  parseNote,
  parseSegmentHeader,
  parseSegmentName,
} from '@doorward/core'
import type { Checkpoint, ExpiryMarker, SegmentHeader } from '@doorward/core'

/** Where the notes of witnesses lie inside a log's folder. */
export const COSIGNED_FOLDER = 'cosigned'

export interface SegmentOnDisk {
  readonly path: string
  /** From its name; the header is only read when asked for. */
  readonly first: number
}

/** The segments by name, in order; empty when there is no log. */
export async function segmentsOf(folder: string): Promise<readonly SegmentOnDisk[]> {
  const names = (await whenThere(readdir(join(folder, SEGMENTS_FOLDER)))) ?? []
  const segments: SegmentOnDisk[] = []
  for (const name of names.toSorted()) {
    const first = parseSegmentName(name)
    if (first !== null) segments.push({ path: join(folder, SEGMENTS_FOLDER, name), first })
  }
  return segments
}

/** Reads a segment's header. Throws `segment_malformed`. */
export async function headerOf(
  segment: SegmentOnDisk,
): Promise<{ readonly header: SegmentHeader; readonly end: number }> {
  return parseSegmentHeader(await readFrom(segment.path, 0, MAX_SEGMENT_HEADER_BYTES), crc32)
}

/** The bytes of a file from `offset`, at most `limit`. */
export async function readFrom(path: string, offset: number, limit = Number.MAX_SAFE_INTEGER): Promise<Uint8Array> {
  const file = await open(path, 'r')
  try {
    const { size } = await file.stat()
    const length = Math.max(0, Math.min(size - offset, limit))
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, offset)
    return buffer.subarray(0, bytesRead)
  } finally {
    await file.close()
  }
}

/** The note in the log's checkpoint file; null when there is none. */
export async function checkpointNoteOf(folder: string): Promise<string | null> {
  return whenThere(readFile(join(folder, CHECKPOINT_FILE), 'utf8'))
}

/** A checkpoint with the cosignature of a witness, as it lies beside the log. */
export interface CosignedNote {
  readonly note: string
  readonly where: string
}

/** As many as there are witnesses; more are not read. */
const MAX_COSIGNED = 1024

/** The newest note of each witness; empty where nobody has cosigned. */
export async function cosignedNotesOf(folder: string): Promise<readonly CosignedNote[]> {
  const place = join(folder, COSIGNED_FOLDER)
  const names = ((await whenThere(readdir(place))) ?? []).filter((name) => name.endsWith('.note')).toSorted()
  const read = async (name: string) => ({ note: await readFile(join(place, name), 'utf8'), where: join(place, name) })
  return Promise.all(names.slice(0, MAX_COSIGNED).map(read))
}

/** What the log's checkpoint file says, its signature NOT checked. Throws `note_malformed`, `checkpoint_malformed`. */
export async function claimedCheckpointOf(folder: string): Promise<Checkpoint | null> {
  const note = await checkpointNoteOf(folder)
  return note === null ? null : parseCheckpoint(parseNote(note).text)
}

/** Which log lies in `folder`, by its first segment. Throws `log_not_found`, `segment_malformed`. */
export async function identityOf(folder: string): Promise<{ readonly origin: string; readonly vkey: string }> {
  const first = (await segmentsOf(folder))[0]
  if (first === undefined) {
    throw new DoorwardError('log_not_found', 'there is no log in this folder', { where: folder })
  }
  const { origin, vkey } = (await headerOf(first)).header
  return { origin, vkey }
}

/**
 * The marker beside the segments of the log `origin`; null when nothing has expired. It is not believed here: the entry that
 * it names is what counts. Throws `record_expiry_unproven` for what is no marker of this log.
 */
export async function expiryOf(folder: string, origin: string): Promise<ExpiryMarker | null> {
  const bytes = await whenThere(readFile(join(folder, EXPIRY_FILE)))
  if (bytes === null) return null
  const marker = parseExpiry(origin, bytes.toString('latin1'))
  if (marker !== null) return marker
  throw new DoorwardError('record_expiry_unproven', 'the marker of expired entries cannot be read', {
    where: join(folder, EXPIRY_FILE),
    expected: `a marker of ${origin}`,
  })
}

/** Null when the file or folder does not exist. */
export async function whenThere<T>(reading: Promise<T>): Promise<T | null> {
  try {
    return await reading
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}
