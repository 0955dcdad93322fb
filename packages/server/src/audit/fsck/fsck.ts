/**
 * Checking a log on disk, byte by byte, offline or beside its writer: the chain is derived from whatever is whole, and what
 * differs from it is named. Memory stays at one segment and one bundle. Writes nothing.
 */

import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { crc32 } from 'node:zlib'
import {
  CHECKPOINT_FILE,
  EXPIRY_FILE,
  absenceSaidBy,
  equalBytes,
  isDoorwardError,
  leafOfFrame,
  openCheckpoint,
  parsePayload,
  saysExpired,
} from '@doorward/core'
import type { EntryEnvelope, ExpiryMarker, JournalFrame, NoteVerifier, Sha256, SignedCheckpoint } from '@doorward/core'
import { checkpointNoteOf, cosignedNotesOf, expiryOf, headerOf, segmentsOf, whenThere } from '../log-folder.ts'
import type { SegmentOnDisk } from '../log-folder.ts'
import { MAX_DAMAGES } from './damage.ts'
import type { Damage } from './damage.ts'
import { checkRemains } from './remains.ts'
import { walkSegment } from './segment-walk.ts'
import type { WalkedSegment } from './segment-walk.ts'
import { TreeWalk } from './tree-walk.ts'

export interface FsckOptions {
  readonly folder: string
  /** The log's key as text, and as it verifies; from somewhere other than this folder. */
  readonly vkey: string
  readonly verifier: NoteVerifier
  /** The note of the second copy; null when there is none. */
  readonly secondCopy: { readonly note: string | null; readonly where: string }
  readonly sha256: Sha256
  /** Before a segment that looks damaged is read again; 150 by default. */
  readonly secondLookMilliseconds?: number
  readonly onProgress?: (progress: { readonly entries: number; readonly expected: number }) => void
  readonly signal?: AbortSignal
}

export interface FsckReport {
  readonly origin: string
  /** Entries that the newest checkpoint covers, and those after them that are written and not signed over yet. */
  readonly entries: number
  readonly unsigned: number
  /** Of the covered ones, those whose payloads have expired, were redacted, or are damaged by consent. */
  readonly absent: number
  readonly segments: number
  readonly bytes: number
  readonly damages: readonly Damage[]
  /** What is no damage and worth knowing: files that were set aside, a write under way. */
  readonly notes: readonly string[]
}

interface Anchor {
  readonly checkpoint: SignedCheckpoint
  readonly file: string
}

/** A frame may be overwritten, and a segment may grow, while it is read: what is damaged is looked at twice. */
const SECOND_LOOK_MILLISECONDS = 150

/** Throws what the file system throws, and the signal's reason: damage is in the report. */
export function fsckLog(options: FsckOptions): Promise<FsckReport> {
  return new Fsck(options).run()
}

class Fsck {
  readonly #options: FsckOptions
  readonly #damages: Damage[] = []
  readonly #notes: string[] = []
  readonly #anchors: Anchor[] = []
  readonly #unexplained = new Map<number, { readonly file: string; readonly offset: number }>()
  #marker: ExpiryMarker | null = null
  #markerProven = false
  #covered = 0
  #absent = 0
  #unsigned = 0
  #bytes = 0
  /** Whether what was derived gives the roots that were signed. */
  #proven = true
  #lastTime = 0

  constructor(options: FsckOptions) {
    this.#options = options
  }

  async run(): Promise<FsckReport> {
    const { folder, sha256, verifier, onProgress, signal } = this.#options
    await this.#readCheckpoints()
    await this.#readMarker()
    const onSize = (size: number, root: () => Uint8Array) => this.#compareRoot(size, root)
    const tree = new TreeWalk({ folder, size: this.#covered, sha256, found: (damage) => this.#found(damage), onSize })
    const segments = await this.#heldSegments()
    await this.#expireUntil(tree, Math.min(this.#marker?.end ?? 0, this.#covered))
    let before: { readonly first: number; readonly bytes: number } | null = null
    for (const [i, segment] of segments.entries()) {
      signal?.throwIfAborted()
      const length = await this.#segment(segment, { tree, next: segments[i + 1] ?? null, before })
      before = length === null ? null : { first: segment.first, bytes: length }
      onProgress?.({ entries: tree.next, expected: this.#covered })
    }
    await this.#missing(tree, this.#covered, join(folder, 'segments'))
    await tree.finish()
    await checkRemains({
      folder,
      size: this.#covered,
      tree,
      found: (damage) => this.#found(damage),
      note: (text) => this.#notes.push(text),
    })
    await this.#settle()
    return {
      origin: verifier.name,
      entries: this.#covered,
      unsigned: this.#unsigned,
      absent: this.#absent,
      segments: segments.length,
      bytes: this.#bytes,
      damages: this.#damages.map((damage) => this.#judged(damage)),
      notes: this.#notes,
    }
  }

  async #heldSegments(): Promise<readonly SegmentOnDisk[]> {
    const all = await segmentsOf(this.#options.folder)
    const expired = all.filter(({ first }) => first < (this.#marker?.end ?? 0))
    if (expired.length > 0) this.#notes.push(`${expired.length} segments have expired and are about to be deleted`)
    return all.slice(expired.length)
  }

  async #readCheckpoints(): Promise<void> {
    const { folder, secondCopy } = this.#options
    this.#believe(await checkpointNoteOf(folder).catch(notText), join(folder, CHECKPOINT_FILE))
    this.#believe(secondCopy.note, secondCopy.where)
    for (const { note, where } of await cosignedNotesOf(folder)) this.#believe(note, where)
    this.#covered = Math.max(0, ...this.#anchors.map(({ checkpoint }) => checkpoint.size))
  }

  #believe(note: string | null, file: string): void {
    const damage = { file, bytes: null, entries: null, kept: null } as const
    if (note === null) return this.#found({ ...damage, code: 'checkpoint_missing', message: 'there is no checkpoint' })
    try {
      this.#anchors.push({ checkpoint: openCheckpoint(note, this.#options.verifier), file })
    } catch (error) {
      if (!isDoorwardError(error)) throw error
      this.#found({ ...damage, code: 'checkpoint_damaged', message: `${error.message} (${error.code})` })
    }
  }

  async #readMarker(): Promise<void> {
    const { folder, verifier } = this.#options
    try {
      this.#marker = await expiryOf(folder, verifier.name)
    } catch (error) {
      if (!isDoorwardError(error)) throw error
      this.#falseMarker(error.message)
    }
  }

  #falseMarker(message: string): void {
    const file = join(this.#options.folder, EXPIRY_FILE)
    this.#found({ code: 'record_expiry_unproven', file, bytes: null, entries: null, kept: null, message })
  }

  async #expireUntil(tree: TreeWalk, end: number): Promise<void> {
    while (tree.next < end) {
      this.#absent += 1
      await tree.take(null)
    }
  }

  /** Entries that no segment holds and no marker speaks of. */
  async #missing(tree: TreeWalk, end: number, file: string): Promise<void> {
    const first = tree.next
    if (first >= end) return
    this.#found({
      code: 'segment_missing',
      file,
      bytes: null,
      entries: { first, end },
      kept: 'tree',
      message: `the segments of entries ${first} to ${end - 1} are missing`,
    })
    while (tree.next < end) await tree.take(null)
  }

  /** Length of the file; null when it has expired meanwhile. */
  async #segment(
    segment: SegmentOnDisk,
    at: {
      readonly tree: TreeWalk
      readonly next: SegmentOnDisk | null
      readonly before: { readonly first: number; readonly bytes: number } | null
    },
  ): Promise<number | null> {
    const { tree, next, before } = at
    const end = next?.first ?? null
    await this.#missing(tree, Math.min(segment.first, this.#covered), segment.path)
    const read = await this.#walk(segment, next)
    if (read === null) {
      await this.#readMarker()
      await this.#expireUntil(tree, Math.min(end ?? 0, this.#marker?.end ?? 0))
      return null
    }
    const { bytes, walked } = read
    this.#bytes += bytes.length
    this.#checkHeader(segment, walked, before)
    this.#tellDamaged(segment, walked, end)
    await this.#takeFrames(segment, walked, tree)
    return bytes.length
  }

  /** Where the next segment follows another one than this, that one is missing, and where this one ends is not known. */
  async #endOf(segment: SegmentOnDisk, next: SegmentOnDisk | null): Promise<number | null> {
    if (next === null) return this.#covered
    const previous = await headerOf(next).then(
      ({ header }) => header.previous?.first ?? null,
      () => segment.first,
    )
    return previous === segment.first ? next.first : null
  }

  async #walk(
    segment: SegmentOnDisk,
    next: SegmentOnDisk | null,
  ): Promise<{ readonly bytes: Uint8Array; readonly walked: WalkedSegment } | null> {
    for (let look = 1; ; look++) {
      const bytes = await whenThere(readFile(segment.path))
      if (bytes === null) return null
      const end = await this.#endOf(segment, next)
      const walked = walkSegment(bytes, { first: segment.first, end, before: next?.first ?? null }, crc32)
      if (look === 2 || walked.damaged.length === 0) return { bytes, walked }
      await sleep(this.#options.secondLookMilliseconds ?? SECOND_LOOK_MILLISECONDS)
    }
  }

  #checkHeader(
    { path, first }: SegmentOnDisk,
    { header }: WalkedSegment,
    before: { readonly first: number; readonly bytes: number } | null,
  ): void {
    if (header === null) return
    const { vkey, verifier } = this.#options
    const damage = { code: 'segment_damaged', file: path, bytes: null, entries: null, kept: null } as const
    if (header.origin !== verifier.name || header.vkey !== vkey)
      this.#found({ ...damage, message: 'the segment is of another log or key' })
    if (header.first !== first)
      this.#found({ ...damage, message: `named for entry ${first}, begins with ${header.first}` })
    const known = before !== null && header.previous?.first === before.first
    if (known && header.previous?.bytes !== before.bytes)
      this.#found({
        ...damage,
        message: `the segment before it has ${before.bytes} bytes, had ${header.previous?.bytes}`,
      })
  }

  #tellDamaged({ path }: SegmentOnDisk, { damaged, frames }: WalkedSegment, end: number | null): void {
    for (const { from, to, first, end: until } of damaged) {
      // A batch comes only after the one before it is durable: without one, nobody was told of what stood here.
      const acknowledged = end !== null || frames.some(({ frame }) => frame.index >= until && frame.batch > first)
      if (first >= this.#covered && !acknowledged) {
        this.#notes.push(`${path}:${from}: the end of a write that was never acknowledged, or is under way`)
        continue
      }
      const [treeEnd, lostFirst] = [Math.min(until, this.#covered), Math.max(first, this.#covered)]
      const base = { code: 'segment_damaged', file: path, bytes: { from, to } } as const
      if (treeEnd > first || until === first)
        this.#found({
          ...base,
          entries: treeEnd > first ? { first, end: treeEnd } : null,
          kept: treeEnd > first ? 'tree' : null,
          message: to === from ? 'the file has been shortened' : 'not what was written',
        })
      if (until > lostFirst)
        this.#found({
          ...base,
          entries: { first: lostFirst, end: until },
          kept: 'lost',
          message: 'acknowledged, and not signed over yet',
        })
    }
  }

  async #takeFrames({ path }: SegmentOnDisk, { frames, end }: WalkedSegment, tree: TreeWalk): Promise<void> {
    for (const { frame, offset } of frames) {
      this.#checkFrame(frame, path, offset)
      if (frame.index >= this.#covered) {
        this.#unsigned += 1
        continue
      }
      while (tree.next < frame.index) await tree.take(null)
      if (tree.next === frame.index)
        await tree.take({ leaf: leafOfFrame(this.#options.sha256, frame), file: path, offset })
    }
    while (tree.next < Math.min(end, this.#covered)) await tree.take(null)
  }

  #checkFrame(frame: JournalFrame, file: string, offset: number): void {
    const { index, time, absent } = frame
    if (absent !== undefined) {
      this.#absent += 1
      this.#unexplained.set(index, { file, offset })
      return
    }
    const problem = (message: string): void => {
      const entries = { first: index, end: index + 1 }
      this.#found({
        code: 'entry_malformed',
        file,
        bytes: { from: offset, to: offset + 1 },
        entries,
        kept: 'tree',
        message,
      })
    }
    if (time < this.#lastTime) problem('older than the entry before it')
    this.#lastTime = time
    try {
      const entry = parsePayload(frame.payload)
      this.#account(index, entry)
      if (entry.time !== time) problem('two different times')
    } catch (error) {
      if (!isDoorwardError(error)) throw error
      problem(error.message)
    }
  }

  #account(index: number, entry: EntryEnvelope): void {
    if (index === this.#marker?.entry && index < this.#covered)
      this.#markerProven = saysExpired(entry, this.#marker.end)
    const absence = this.#unexplained.size === 0 ? null : absenceSaidBy(entry)
    if (absence === null) return
    for (const gone of this.#unexplained.keys())
      if (gone >= absence.first && gone < absence.end) this.#unexplained.delete(gone)
  }

  #compareRoot(size: number, root: () => Uint8Array): void {
    for (const { checkpoint, file } of this.#anchors) {
      if (checkpoint.size !== size || equalBytes(checkpoint.root, root())) continue
      this.#proven = false
      const message = `the first ${size} entries are not those that were signed, whichever of journal, bundles and tiles is believed`
      this.#found({ code: 'record_forked', file, bytes: null, entries: { first: 0, end: size }, kept: null, message })
    }
  }

  async #settle(): Promise<void> {
    const accepted = await acceptedIn(this.#options.folder)
    if (accepted !== null) {
      const { first, end } = accepted
      this.#notes.push(`damage of entries ${first} to ${end - 1} was accepted; the next start of the writer says so`)
      for (const index of this.#unexplained.keys()) if (index >= first && index < end) this.#unexplained.delete(index)
    }
    for (const [index, { file, offset }] of this.#unexplained) {
      const entries = { first: index, end: index + 1 }
      const message = 'what the entry says is gone, and no entry says why'
      this.#found({
        code: 'payload_absent',
        file,
        bytes: { from: offset, to: offset + 1 },
        entries,
        kept: 'tree',
        message,
      })
    }
    if (this.#marker !== null && !this.#markerProven) {
      const { entry, end } = this.#marker
      this.#falseMarker(`entry ${entry} does not say that all before entry ${end} have expired`)
    }
  }

  /** Nothing is accounted for by a tree that is not the one that was signed. */
  #judged(damage: Damage): Damage {
    return this.#proven || damage.kept !== 'tree' ? damage : { ...damage, kept: 'lost' }
  }

  #found(damage: Damage): void {
    if (this.#damages.length < MAX_DAMAGES) this.#damages.push(damage)
    else if (this.#notes.at(-1) !== MORE) this.#notes.push(MORE)
  }
}

const MORE = `more than ${MAX_DAMAGES} damages: only the first are told`

/** What an operator has accepted, and the log has not said yet. */
async function acceptedIn(folder: string): Promise<{ readonly first: number; readonly end: number } | null> {
  const bytes = await whenThere(readFile(join(folder, 'accepting')))
  try {
    const { first, end } = JSON.parse(bytes?.toString() ?? '{}') as { readonly first?: unknown; readonly end?: unknown }
    return typeof first === 'number' && typeof end === 'number' ? { first, end } : null
  } catch {
    return null
  }
}

function notText(error: unknown): string {
  if (isDoorwardError(error)) return ''
  throw error
}

/** Files that were set aside, for whoever may want them back. */
export async function setAside(folder: string): Promise<readonly string[]> {
  const names = (await whenThere(readdir(join(folder, 'segments')))) ?? []
  return names.filter((name) => name.includes('.damaged-')).map((name) => join(folder, 'segments', name))
}
