/**
 * Taking away what single entries say. Place, time and digest stay, and with them every proof.
 *
 * The order is what a crash may interrupt anywhere: a note of the entry that is meant; the entry that says so, under a
 * checkpoint; where the frame stands, in the note; the frame itself, overwritten; the copies. A start finds the note: it
 * finishes what is on record, before anybody reads the log, and forgets what is not. One at a time, so the note is small.
 */

import { join } from 'node:path'
import { readFile } from 'node:fs/promises'
import { crc32 } from 'node:zlib'
import {
  DoorwardError,
  HASH_BYTES,
  REDACTABLE_KINDS,
  REDACT_CHANGE,
  SEGMENTS_FOLDER,
  TILE_WIDTH,
  absenceSaidBy,
  encodeAbsentFrame,
  epochMillis,
  equalBytes,
  fromBase64,
  isRedactable,
  leafOfFrame,
  parseEntryBundle,
  parseLeaf,
  parsePayload,
  parseSegmentHeader,
  readFrame,
  segmentName,
  tilePath,
  toBase64,
} from '@doorward/core'
import type { JournalFrame, Sha256 } from '@doorward/core'
import type { RecordDisk } from './disk.ts'
import { readExpiry } from './expired-range.ts'
import type { FileRecord } from './file-record.ts'
import { findEntry, intend, intentionPath, readIntention } from './intention.ts'
import type { Intention } from './intention.ts'
import { corrupt, listSegments, readSegment } from './segment-files.ts'

/** Where a kill is of interest, each after what it names has been done. */
export type RedactionStep = 'intended' | 'recorded' | 'covered' | 'located' | 'overwritten' | 'forgotten'

export interface RedactionParts {
  readonly folder: string
  readonly origin: string
  readonly record: Pick<FileRecord, 'append' | 'checkpoint' | 'stats' | 'disk'>
  readonly sha256: Sha256
  /** Drops what has been derived from the journal and holds what entries say. Called again when it has failed. */
  readonly forget: () => Promise<void> | void
  /** For tests. */
  readonly onStep?: (step: RedactionStep) => void
}

export interface RedactionRequest {
  readonly index: number
  /** In the words of who asks; not what was to go. */
  readonly reason: string
  /** Who asks. */
  readonly by: string
}

export interface Redacted {
  /** Index of the entry that says so. */
  readonly entry: number
  /** SHA-256(salt ‖ payload) of what is gone. */
  readonly digest: Uint8Array
}

/** More of this run's are not remembered: what exports hold in memory is far less. */
const MAX_REMEMBERED = 10_000

/** One for each log, in the process that writes it. */
export class Redaction {
  readonly #parts: RedactionParts
  readonly #gone = new Set<number>()
  #last: Promise<unknown> = Promise.resolve()

  constructor(parts: RedactionParts) {
    this.#parts = parts
  }

  /** Whether this run has redacted the entry: what is held of it in memory must not go out any more. */
  isGone(index: number): boolean {
    return this.#gone.has(index)
  }

  /** Finishes what a crash has interrupted. Before anybody reads the log. */
  resume(): Promise<void> {
    return this.#inTurn(() => this.#resume())
  }

  /**
   * Resolves when the payload is gone. Throws `entry_unknown`, `entry_unsigned` while no checkpoint covers it,
   * `payload_absent` when it is gone already, `entry_protected` for a kind that must stay, `record_corrupt`, and the codes
   * of `append`.
   */
  redact(request: RedactionRequest): Promise<Redacted> {
    return this.#inTurn(async () => {
      await this.#resume()
      return this.#redact(request)
    })
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work, work)
    this.#last = turn.catch(() => undefined)
    return turn
  }

  async #redact({ index, reason, by }: RedactionRequest): Promise<Redacted> {
    const { folder, record, sha256 } = this.#parts
    const { frame } = await this.#judged(index)
    const { digest } = parseLeaf(leafOfFrame(sha256, frame))
    const path = intentionPath(folder, 'redacting')
    await intend(record.disk, path, { after: record.stats().size, index })
    this.#step('intended')
    const body = { change: REDACT_CHANGE, index, reason, by, digest: toBase64(digest) }
    const { index: entry } = await record.append({ kind: 'admin', body })
    this.#step('recorded')
    await record.checkpoint()
    this.#step('covered')
    await this.#carryOut(index)
    return { entry, digest }
  }

  /** The entry's frame, which may be redacted. */
  async #judged(index: number): Promise<Found> {
    const { origin, record, sha256 } = this.#parts
    const { size, checkpointSize } = record.stats()
    if (index >= size) throw refused('entry_unknown', 'there is no such entry', origin, index)
    if (index >= checkpointSize) throw refused('entry_unsigned', 'no checkpoint covers the entry yet', origin, index)
    const found = await this.#find(index)
    if (found === null || found.frame.absent !== undefined)
      throw refused('payload_absent', 'what the entry says is gone already', origin, index)
    const leaf = await this.#bundledLeaf(index, checkpointSize)
    if (!equalBytes(leaf, leafOfFrame(sha256, found.frame)))
      throw corrupt(found.path, found.offset, `entry ${index} as its leaf is in the tree`)
    const { kind } = parsePayload(found.frame.payload)
    if (isRedactable(kind)) return found
    throw new DoorwardError('entry_protected', 'entries of this kind cannot be redacted', {
      where: `${origin}#${index}`,
      expected: REDACTABLE_KINDS.join(', '),
      got: kind,
    })
  }

  /** Null for an entry that has expired. Reads its segment. */
  async #find(index: number): Promise<Found | null> {
    const { folder, origin } = this.#parts
    const segments = await listSegments(folder, (await readExpiry(folder, origin))?.end)
    const segment = segments.findLast(({ header }) => header.first <= index)
    if (segment === undefined) return null
    const { frames, offsets } = await readSegment(segment)
    const at = index - segment.header.first
    const [frame, offset, end] = [frames[at], offsets[at], offsets[at + 1]]
    if (frame === undefined || offset === undefined || end === undefined)
      throw corrupt(segment.path, offsets.at(-1) ?? 0, `the whole entry ${index}`)
    return { path: segment.path, segment: segment.header.first, offset, length: end - offset, frame }
  }

  async #bundledLeaf(index: number, size: number): Promise<Uint8Array> {
    const bundle = Math.floor(index / TILE_WIDTH)
    const widths = [TILE_WIDTH, Math.min(TILE_WIDTH, size - bundle * TILE_WIDTH)]
    const paths = widths.map((width) => join(this.#parts.folder, tilePath({ level: 'entries', index: bundle, width })))
    for (const path of paths) {
      const bytes = await readIfThere(path)
      const leaf = bytes === null ? undefined : parseEntryBundle(bytes)[index % TILE_WIDTH]
      if (leaf !== undefined) return leaf
    }
    throw corrupt(paths.at(-1) ?? '', 0, `the leaf of entry ${index}`)
  }

  async #resume(): Promise<void> {
    const { folder, origin, record } = this.#parts
    const path = intentionPath(folder, 'redacting')
    const intention = await readIntention(path)
    if (intention === null) return
    const index = Number(intention['index'])
    await record.checkpoint()
    const expired = (await readExpiry(folder, origin))?.end ?? 0
    const search = { folder, expired, after: intention.after, end: record.stats().checkpointSize }
    const entry = await findEntry({ ...search, says: (said) => isSaidOf(index, absenceSaidBy(said)) })
    if (entry === null) await record.disk.remove([path])
    else await this.#carryOut(index)
  }

  async #carryOut(index: number): Promise<void> {
    const { folder, record, sha256, forget } = this.#parts
    const path = intentionPath(folder, 'redacting')
    const found = await this.#find(index)
    if (found !== null && found.frame.absent === undefined) {
      const { frame, segment, offset, length } = found
      const { batch, time } = frame
      const digest = toBase64(parseLeaf(leafOfFrame(sha256, frame)).digest)
      const after = record.stats().size
      const kept = await readIntention(path)
      const place = { segment, offset, length, batch, time, digest }
      await intend(record.disk, path, { after: kept?.after ?? after, index, ...place })
      this.#step('located')
      await overwrite(record.disk, folder, { index, ...place })
    }
    this.#step('overwritten')
    this.#remember(index)
    await forget()
    this.#step('forgotten')
    await record.disk.remove([path])
  }

  #remember(index: number): void {
    this.#gone.add(index)
    const [oldest] = this.#gone
    if (this.#gone.size > MAX_REMEMBERED && oldest !== undefined) this.#gone.delete(oldest)
  }

  #step(step: RedactionStep): void {
    this.#parts.onStep?.(step)
  }
}

interface Found {
  readonly path: string
  /** Its first entry. */
  readonly segment: number
  readonly offset: number
  readonly length: number
  readonly frame: JournalFrame
}

/** Where a frame stands, and what stays of it. */
interface Place {
  readonly index: number
  readonly segment: number
  readonly offset: number
  readonly length: number
  readonly batch: number
  readonly time: number
  /** Base64. */
  readonly digest: string
}

function isSaidOf(index: number, absence: ReturnType<typeof absenceSaidBy>): boolean {
  return absence?.reason === 'redacted' && absence.first === index
}

function overwrite(disk: RecordDisk, folder: string, place: Place): Promise<void> {
  const { segment, offset, length, digest, time, ...entry } = place
  const kept = { ...entry, time: epochMillis(time), digest: fromBase64(digest) ?? new Uint8Array(0) }
  const frame = encodeAbsentFrame({ ...kept, reason: 'redacted' }, length, crc32)
  return disk.overwrite(join(folder, SEGMENTS_FOLDER, segmentName(segment)), offset, frame)
}

/**
 * Before the journal is read at a start: a frame that was being overwritten when the machine stopped may be half of each.
 * Nothing else is touched: what stands there must be that entry, or no whole frame. `segmentsIn` is the log's
 * own folder or that of its second sink. Throws `record_corrupt`.
 */
export async function finishOverwriting(disk: RecordDisk, folder: string, segmentsIn: string): Promise<void> {
  const place = placeIn(await readIntention(intentionPath(folder, 'redacting')))
  if (place === null) return
  const path = join(segmentsIn, SEGMENTS_FOLDER, segmentName(place.segment))
  const bytes = await readIfThere(path)
  if (bytes === null) return
  const { header } = parseSegmentHeader(bytes, crc32)
  const read = readFrame(bytes, place.offset, crc32)
  const isFree = read.at === 'damaged' || (read.at === 'frame' && read.frame.index === place.index)
  if (header.first !== place.segment || !isFree || place.offset + place.length > bytes.length)
    throw corrupt(path, place.offset, `entry ${place.index}, which was to be redacted`)
  if (read.at === 'frame' && read.end !== place.offset + place.length)
    throw corrupt(path, place.offset, `entry ${place.index} in ${place.length} bytes`)
  await overwrite(disk, segmentsIn, place)
}

function placeIn(intention: Intention | null): Place | null {
  if (intention === null) return null
  const { index, segment, offset, length, batch, time, digest } = intention
  const numbers = [index, segment, offset, length, batch, time].map(Number)
  if (typeof digest !== 'string' || fromBase64(digest)?.length !== HASH_BYTES) return null
  if (numbers.some((number) => !Number.isSafeInteger(number) || number < 0)) return null
  const [at = 0, first = 0, start = 0, bytes = 0, group = 0, milliseconds = 0] = numbers
  return { index: at, segment: first, offset: start, length: bytes, batch: group, time: milliseconds, digest }
}

async function readIfThere(path: string): Promise<Uint8Array | null> {
  try {
    return await readFile(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}

function refused(code: string, message: string, origin: string, index: number): DoorwardError {
  return new DoorwardError(code, message, { where: `${origin}#${index}` })
}
