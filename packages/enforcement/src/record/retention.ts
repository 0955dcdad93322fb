/**
 * Letting the payloads of old entries expire, whole segments at a time. Their leaves stay, so every proof does.
 *
 * The order is what a crash may interrupt anywhere: a note of what is intended; the entry that says so; a checkpoint over
 * it; the marker, from which on these entries count as expired; the files. Whoever comes next finds the note, looks
 * whether the entry is there, and either goes on from it or forgets the note: no second entry for the same files.
 */

import { readFile } from 'node:fs/promises'
import { crc32 } from 'node:zlib'
import { EXPIRE_EVENT, TILE_WIDTH, equalBytes, leafOfFrame, readFrame, saysExpired, segmentName } from '@doorward/core'
import type { Clock, Sha256 } from '@doorward/core'
import { readExpiry, readFullBundle, removeExpired, writeExpiry } from './expired-range.ts'
import type { FileRecord } from './file-record.ts'
import { findEntry, intend, intentionPath, readIntention } from './intention.ts'
import { corrupt, firstTimeOf, listSegments } from './segment-files.ts'
import type { SegmentFile } from './segment-files.ts'

export interface RetentionRules {
  /** How old the newest entry of a segment has to be; null for any age. */
  readonly maxMilliseconds: number | null
  /** How long the journal may become, all segments together; null for any length. */
  readonly maxBytes: number | null
}

/** Where a kill is of interest, each after what it names has been done. */
export type RetentionStep = 'intended' | 'recorded' | 'covered' | 'marked' | 'deleted'

export interface RetentionParts {
  readonly folder: string
  readonly origin: string
  readonly record: Pick<FileRecord, 'append' | 'checkpoint' | 'stats' | 'disk'>
  readonly sha256: Sha256
  readonly clock: Clock
  readonly rules: RetentionRules
  /** Entries from this index on are kept: what exports have not delivered yet. */
  readonly oldestNeeded: () => Promise<number>
  /** Entries that are younger are kept whatever the rules say: who writes the log needs them. 0 by default. */
  readonly keepMilliseconds?: number
  /** For tests. */
  readonly onStep?: (step: RetentionStep) => void
}

export interface Expired {
  /** Entries from `first` up to `end`, exclusive. */
  readonly first: number
  readonly end: number
  readonly segments: readonly string[]
  readonly bytes: number
}

interface Plan extends Expired {
  readonly rules: readonly Rule[]
}

type Rule = 'max_days' | 'max_bytes'

/** In one turn; the names of more would make the entry long. */
const MAX_SEGMENTS = 256

/** One for each log, in the process that writes it; turns must not overlap. */
export class Retention {
  readonly #parts: RetentionParts
  /** Segments that were found to be kept for their age, until that changes: their newest times, by first entry. */
  #known: { readonly first: number; readonly lastTime: number } | null = null

  constructor(parts: RetentionParts) {
    this.#parts = parts
  }

  /**
   * Finishes what a crash has interrupted, then lets expire what the rules say; null when that is nothing. Throws
   * `record_corrupt` for a segment or bundle that is damaged (nothing of it is deleted), and the codes of `append`.
   */
  async turn(): Promise<Expired | null> {
    await this.#resume()
    const plan = await this.#plan()
    if (plan === null) return null
    const { folder, record } = this.#parts
    const path = intentionPath(folder, 'expiring')
    await intend(record.disk, path, { after: record.stats().size, end: plan.end })
    this.#step('intended')
    const { index } = await record.append({ kind: 'lifecycle', body: this.#bodyOf(plan) })
    this.#step('recorded')
    await this.#finish(plan.end, index)
    const { first, end, segments, bytes } = plan
    return { first, end, segments, bytes }
  }

  #bodyOf({ rules, ...plan }: Plan): object {
    const { maxMilliseconds, maxBytes } = this.#parts.rules
    return {
      event: EXPIRE_EVENT,
      ...plan,
      rules,
      ...(maxMilliseconds === null ? {} : { max_days: maxMilliseconds / DAY_MILLISECONDS }),
      ...(maxBytes === null ? {} : { max_bytes: maxBytes }),
    }
  }

  async #finish(end: number, entry: number): Promise<void> {
    const { folder, origin, record } = this.#parts
    await record.checkpoint()
    this.#step('covered')
    await writeExpiry(record.disk, folder, origin, { end, entry })
    this.#step('marked')
    await removeExpired(record.disk, folder, end)
    this.#step('deleted')
    await record.disk.remove([intentionPath(folder, 'expiring')])
  }

  #step(step: RetentionStep): void {
    this.#parts.onStep?.(step)
  }

  async #resume(): Promise<void> {
    const { folder, origin, record } = this.#parts
    const path = intentionPath(folder, 'expiring')
    const intention = await readIntention(path)
    const expired = (await readExpiry(folder, origin))?.end ?? 0
    if (intention === null) return removeExpired(record.disk, folder, expired)
    const end = Number(intention['end'])
    await record.checkpoint()
    const search = { folder, expired, after: intention.after, end: record.stats().checkpointSize }
    const entry = await findEntry({ ...search, says: (said) => saysExpired(said, end) })
    if (entry === null || expired > end) await record.disk.remove([path])
    else await this.#finish(end, entry)
  }

  async #plan(): Promise<Plan | null> {
    const { folder, origin, record, oldestNeeded, rules } = this.#parts
    const marker = await readExpiry(folder, origin)
    const segments = await listSegments(folder, marker?.end)
    const whole = Math.floor(record.stats().checkpointSize / TILE_WIDTH) * TILE_WIDTH
    // Leaves in bundles that are not full yet are not durable.
    const limit = Math.min(whole, await oldestNeeded())
    let excess = rules.maxBytes === null ? 0 : segments.reduce((sum, { bytes }) => sum + bytes, 0) - rules.maxBytes
    const taken: SegmentFile[] = []
    const reasons = new Set<Rule>()
    for (const [i, segment] of segments.entries()) {
      const end = segments[i + 1]?.header.first ?? Number.MAX_SAFE_INTEGER
      const reason = end > limit || taken.length === MAX_SEGMENTS ? null : await this.#reasonFor(segment, end, excess)
      if (reason === null) break
      taken.push(segment)
      reasons.add(reason)
      excess -= segment.bytes
    }
    return planOf(taken, segments, [...reasons])
  }

  /** The rule by which a segment of entries up to `end` expires; null when it is kept. */
  async #reasonFor(segment: SegmentFile, end: number, excess: number): Promise<Rule | null> {
    const { clock, rules, keepMilliseconds = 0 } = this.#parts
    const old = rules.maxMilliseconds === null ? null : clock() - rules.maxMilliseconds
    const kept = clock() - keepMilliseconds
    // Most segments are told by their first entry: reading them is for those that may really go.
    const first = await firstTimeOf(segment)
    if (first > kept || (excess <= 0 && (old === null || first >= old))) return null
    const lastTime = await this.#lastTime(segment, end)
    if (lastTime > kept) return null
    if (old !== null && lastTime < old) return 'max_days'
    return excess > 0 ? 'max_bytes' : null
  }

  async #lastTime(segment: SegmentFile, end: number): Promise<number> {
    const { first } = segment.header
    if (this.#known?.first === first) return this.#known.lastTime
    const lastTime = await this.#checked(segment, end)
    this.#known = { first, lastTime }
    return lastTime
  }

  /**
   * Reads a segment as a whole: what is damaged, or whose leaves are not in the bundles, is not deleted. Between two bundles
   * others may run: this is beside calls that wait.
   */
  async #checked(segment: SegmentFile, end: number): Promise<number> {
    const { folder, sha256 } = this.#parts
    const { path, header, start } = segment
    const bytes = await readFile(path)
    let offset = start
    let lastTime = 0
    for (let at = header.first; at < end;) {
      const bundle = Math.floor(at / TILE_WIDTH)
      const leaves = await readFullBundle(folder, bundle)
      for (const until = Math.min(end, (bundle + 1) * TILE_WIDTH); at < until; at++) {
        const read = readFrame(bytes, offset, crc32)
        if (read.at !== 'frame' || read.frame.index !== at) throw corrupt(path, offset, `the whole entry ${at}`)
        if (!equalBytes(leafOfFrame(sha256, read.frame), leaves[at - bundle * TILE_WIDTH]!))
          throw corrupt(path, offset, `entry ${at} as its leaf is in bundle ${bundle}`)
        offset = read.end
        lastTime = read.frame.time
      }
    }
    if (offset !== bytes.length) throw corrupt(path, offset, `its end after entry ${end - 1}`)
    return lastTime
  }
}

const DAY_MILLISECONDS = 86_400_000

function planOf(taken: readonly SegmentFile[], segments: readonly SegmentFile[], rules: readonly Rule[]): Plan | null {
  const first = taken[0]?.header.first
  const end = segments[taken.length]?.header.first
  if (first === undefined || end === undefined) return null
  const names = taken.map(({ header }) => segmentName(header.first))
  return { first, end, segments: names, bytes: taken.reduce((sum, { bytes }) => sum + bytes, 0), rules }
}
