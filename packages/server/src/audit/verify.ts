/** Verifying a log offline: with its folder and its public key alone, derive everything again and compare. */

import { readFile } from 'node:fs/promises'
import { crc32 } from 'node:zlib'
import {
  DoorwardError,
  TILE_WIDTH,
  TreeEdge,
  absenceSaidBy,
  epochMillis,
  equalBytes,
  isDoorwardError,
  leafHash,
  leafOfFrame,
  openCheckpoint,
  parseLeaf,
  parsePayload,
  parseVerifierKey,
  saysExpired,
  scanSegment,
} from '@doorward/core'
import type {
  EntryEnvelope,
  EpochMillis,
  ExpiryMarker,
  JournalFrame,
  NoteVerifier,
  SegmentHeader,
  SegmentScan,
  Sha256,
  SignedCheckpoint,
  VerifyKey,
} from '@doorward/core'
import { checkpointNoteOf, expiryOf, segmentsOf, whenThere } from './log-folder.ts'
import type { CosignedNote, SegmentOnDisk } from './log-folder.ts'
import type { Problem } from './problem.ts'
import { bundleOf } from './prove-tiles.ts'
import { checkBundle, checkTile } from './tile-check.ts'

export interface VerifyOptions {
  readonly folder: string
  /** The log's verifier key, `<origin>+<id>+<key>`, from somewhere other than this folder. */
  readonly vkey: string
  /** The note of the second copy; undefined when there is none to compare. Null: asked for, and it had none. */
  readonly secondCopy?: string | null
  /** Notes that others have cosigned: the log must hold what each of them says. */
  readonly cosigned?: readonly CosignedNote[]
  readonly sha256: Sha256
  readonly importEd25519: (publicKey: Uint8Array) => VerifyKey | null
  /** Called after each segment. */
  readonly onProgress?: (progress: { readonly entries: number; readonly expected: number }) => void
  readonly signal?: AbortSignal
}

export interface VerifyReport {
  readonly origin: string
  /** Entries that were read and follow from one another. */
  readonly entries: number
  /** Of these, the ones after the newest checkpoint: written, but not signed over yet. */
  readonly unsigned: number
  /** Of these, the ones whose payloads are gone, and by which the log accounts for it: they were derived from their leaves. */
  readonly absent: number
  /** RFC 6962 root over `entries`. */
  readonly root: Uint8Array
  readonly checkpointSize: number
  /** Time of the last entry that the checkpoint covers. */
  readonly checkpointTime: EpochMillis | null
  /** Empty: the log is what was signed. */
  readonly problems: readonly Problem[]
}

/** More problems than this are not listed one by one. */
const MAX_PROBLEMS = 100

/**
 * Reads every byte of the log once; memory stays at one segment. Damage is a problem in the report, not an error:
 * throws only `vkey_malformed`, what the file system throws, and the signal's reason.
 */
export async function verifyLog(options: VerifyOptions): Promise<VerifyReport> {
  const key = parseVerifierKey(options.sha256, options.vkey)
  const publicKey = options.importEd25519(key.publicKey)
  if (publicKey === null)
    throw new DoorwardError('vkey_malformed', 'public key is not an Ed25519 key', { where: key.name })
  const verification = new Verification(options, { name: key.name, keyId: key.keyId, key: publicKey })
  return verification.run()
}

type Before = { readonly header: SegmentHeader; readonly bytes: number } | null

class Verification {
  readonly #options: VerifyOptions
  readonly #verifier: NoteVerifier
  readonly #problems: Problem[] = []
  readonly #edge: TreeEdge
  #leaves: Uint8Array[] = []
  #anchors: { readonly checkpoint: SignedCheckpoint; readonly where: string }[] = []
  #checkpoint: SignedCheckpoint | null = null
  #checkpointTime: EpochMillis | null = null
  #lastTime = epochMillis(0)
  // Once entries no longer follow from one another, the tree says nothing more; later segments are still read.
  #broken = false
  #expired: ExpiryMarker | null = null
  #expiryProven = false
  #absent = 0
  /** Entries whose payloads are gone, and of which no entry has said why yet; where they stand. */
  readonly #unexplained = new Map<number, string>()

  constructor(options: VerifyOptions, verifier: NoteVerifier) {
    this.#options = options
    this.#verifier = verifier
    this.#edge = new TreeEdge(options.sha256)
  }

  async run(): Promise<VerifyReport> {
    await this.#readCheckpoints()
    await this.#checkAnchors()
    await this.#readExpiry()
    const segments = (await segmentsOf(this.#options.folder)).filter(({ first }) => first >= this.#edge.size)
    let before: Before = null
    for (const [i, segment] of segments.entries()) {
      this.#options.signal?.throwIfAborted()
      const end = segments[i + 1]?.first ?? null
      const bytes = await whenThere(readFile(segment.path))
      // The writer may let a segment expire while we read.
      if (bytes === null) await this.#readExpiry()
      if (bytes === null && this.#edge.size === end) before = null
      if (bytes === null && this.#edge.size !== end)
        this.#add('record_gap', segment.path, 'the segment was taken away while the log was read')
      const scan = bytes === null ? null : this.#scan(segment, bytes)
      if (scan === null || bytes === null) continue
      this.#checkHeader(segment, scan.header, before)
      await this.#checkFrames(segment, scan, end === null)
      before = { header: scan.header, bytes: bytes.length }
      this.#options.onProgress?.({ entries: this.#edge.size, expected: this.#checkpoint?.size ?? 0 })
    }
    return this.#report()
  }

  /** Goes on over what has expired, by its leaves. */
  async #readExpiry(): Promise<void> {
    const { folder } = this.#options
    try {
      const marker = await expiryOf(folder, this.#verifier.name)
      if (marker === null || marker.end <= this.#edge.size) return
      this.#expired = marker
      this.#expiryProven = false
      const size = this.#checkpoint?.size ?? 0
      while (this.#edge.size < marker.end) {
        const { first, leaves } = await bundleOf(folder, { index: this.#edge.size, size })
        for (const leaf of leaves.slice(this.#edge.size - first, marker.end - first)) {
          const { time } = parseLeaf(leaf)
          this.#absent += 1
          await this.#grow(leaf, time)
        }
      }
    } catch (error) {
      if (!isDoorwardError(error)) throw error
      this.#add(error.code, error.where ?? folder, error.message)
      this.#broken = true
    }
  }

  async #readCheckpoints(): Promise<void> {
    const { folder, secondCopy } = this.#options
    this.#checkpoint = this.#believe(await checkpointNoteOf(folder), `${folder}/checkpoint`)
    if (secondCopy !== undefined) this.#believe(secondCopy, 'second copy')
    for (const { note, where } of this.#options.cosigned ?? []) this.#believe(note, where)
  }

  #believe(note: string | null, where: string): SignedCheckpoint | null {
    if (note === null) {
      this.#add('checkpoint_missing', where, 'there is no checkpoint')
      return null
    }
    try {
      const checkpoint = openCheckpoint(note, this.#verifier)
      this.#anchors.push({ checkpoint, where })
      return checkpoint
    } catch (error) {
      if (!isDoorwardError(error)) throw error
      this.#add('checkpoint_untrusted', where, `${error.message} (${error.code})`)
      return null
    }
  }

  #scan(segment: SegmentOnDisk, bytes: Uint8Array): SegmentScan | null {
    try {
      return scanSegment(bytes, crc32)
    } catch (error) {
      if (!isDoorwardError(error)) throw error
      this.#add('record_corrupt', `${segment.path}:0`, error.message)
      this.#broken = true
      return null
    }
  }

  #checkHeader({ path, first }: SegmentOnDisk, header: SegmentHeader, before: Before): void {
    if (header.origin !== this.#verifier.name) {
      this.#add('record_foreign', path, `segment of ${header.origin}, expected ${this.#verifier.name}`)
    }
    if (header.vkey !== this.#options.vkey) this.#add('record_foreign', path, 'segment was begun under another key')
    if (header.first !== first)
      this.#add('record_corrupt', `${path}:0`, `named for entry ${first}, begins with ${header.first}`)
    const begins = before === null && this.#expired !== null && header.first === this.#expired.end
    if (!begins && (header.previous?.first ?? null) !== (before?.header.first ?? null)) {
      this.#add('record_gap', path, `the segment of entry ${header.previous?.first ?? 0} is missing before it`)
      this.#broken = true
    } else if (before !== null && header.previous?.bytes !== before.bytes) {
      this.#add(
        'record_corrupt',
        path,
        `the segment before it has ${before.bytes} bytes, had ${header.previous?.bytes}`,
      )
    }
  }

  async #checkFrames(segment: SegmentOnDisk, scan: SegmentScan, last: boolean): Promise<void> {
    if (!this.#broken && scan.header.first !== this.#edge.size) {
      this.#add('record_gap', segment.path, `begins with entry ${scan.header.first}, expected ${this.#edge.size}`)
      this.#broken = true
    }
    for (const [i, frame] of scan.frames.entries()) {
      this.#checkPayload(frame, `${segment.path}:${scan.offsets[i]}`)
      if (!this.#broken) await this.#grow(leafOfFrame(this.#options.sha256, frame), frame.time)
    }
    const { fault } = scan
    if (fault === null) return
    const index = scan.header.first + scan.frames.length
    const covered = Math.max(0, ...this.#anchors.map((each) => each.checkpoint.size))
    // The torn end of the last write, or a write under way right now: never acknowledged.
    if (last && !fault.acknowledged && index >= covered) return
    const where = `${segment.path}:${fault.offset}`
    if (fault.kind === 'gap') this.#add('record_gap', where, `expected entry ${index}, got another`)
    else this.#add('record_corrupt', where, `entry ${index} is ${fault.kind === 'cut' ? 'cut short' : 'damaged'}`)
    this.#broken = true
  }

  #checkPayload(frame: JournalFrame, where: string): void {
    if (frame.time < this.#lastTime)
      this.#add('time_decreased', where, `entry ${frame.index} is older than the one before it`)
    this.#lastTime = frame.time
    if (frame.absent !== undefined) {
      this.#absent += 1
      this.#unexplained.set(frame.index, where)
      return
    }
    try {
      const entry = parsePayload(frame.payload)
      this.#account(frame.index, entry)
      if (entry.time === frame.time) return
      this.#add('entry_malformed', where, `entry ${frame.index} has two different times`)
    } catch (error) {
      if (!isDoorwardError(error)) throw error
      this.#add('entry_malformed', where, `entry ${frame.index}: ${error.message}`)
    }
  }

  /** What this entry says of others that are gone. */
  #account(index: number, entry: EntryEnvelope): void {
    const { entry: named, end } = this.#expired ?? { entry: -1, end: 0 }
    if (index === named) this.#expiryProven = saysExpired(entry, end)
    const absence = this.#unexplained.size === 0 ? null : absenceSaidBy(entry)
    if (absence === null) return
    for (const gone of this.#unexplained.keys())
      if (gone >= absence.first && gone < absence.end) this.#unexplained.delete(gone)
  }

  async #grow(leaf: Uint8Array, time: EpochMillis): Promise<void> {
    const full = this.#edge.append(leafHash(this.#options.sha256, leaf))
    this.#leaves.push(leaf)
    const { folder } = this.#options
    // Tiles are written with the checkpoint that needs them: later ones need not be there yet.
    const needed = this.#edge.size <= (this.#checkpoint?.size ?? 0)
    for (const tile of full) if (needed) this.#note(await checkTile(folder, tile))
    if (this.#leaves.length === TILE_WIDTH) {
      if (needed) this.#note(await checkBundle(folder, this.#edge.size / TILE_WIDTH - 1, this.#leaves))
      this.#leaves = []
    }
    await this.#checkAnchors(time)
  }

  /** Compares the tree with every checkpoint of exactly this size. */
  async #checkAnchors(time: EpochMillis | null = null): Promise<void> {
    const { size } = this.#edge
    for (const { checkpoint, where } of this.#anchors) {
      if (checkpoint.size !== size) continue
      if (!equalBytes(checkpoint.root, this.#edge.root())) {
        this.#add('record_forked', where, `the first ${size} entries are not those that were signed`)
      }
      if (checkpoint !== this.#checkpoint) continue
      this.#checkpointTime = time
      for (const tile of this.#edge.partialTiles()) this.#note(await checkTile(this.#options.folder, tile))
      if (this.#leaves.length > 0) {
        this.#note(await checkBundle(this.#options.folder, Math.floor(size / TILE_WIDTH), this.#leaves))
      }
    }
  }

  #report(): VerifyReport {
    const { size } = this.#edge
    const checkpointSize = this.#checkpoint?.size ?? 0
    for (const { checkpoint, where } of this.#anchors) {
      if (this.#broken || checkpoint.size <= size) continue
      this.#add('record_rollback', where, `signed over ${checkpoint.size} entries, the log holds ${size}`)
    }
    for (const [index, where] of this.#unexplained)
      this.#add('payload_absent', where, `what entry ${index} says is gone, and no entry says why`)
    if (this.#expired !== null && !this.#expiryProven) {
      const { end, entry } = this.#expired
      const message = `entry ${entry} does not say that all before entry ${end} have expired`
      this.#add('record_expiry_unproven', `${this.#options.folder}/expired`, message)
    }
    return {
      origin: this.#verifier.name,
      absent: this.#absent,
      entries: size,
      unsigned: Math.max(0, size - checkpointSize),
      root: this.#edge.root(),
      checkpointSize,
      checkpointTime: this.#checkpointTime,
      problems: this.#problems,
    }
  }

  #note(problem: Problem | null): void {
    if (problem !== null) this.#add(problem.code, problem.where, problem.message)
  }

  #add(code: string, where: string, message: string): void {
    if (this.#problems.length < MAX_PROBLEMS) this.#problems.push({ code, where, message })
    else if (this.#problems.length === MAX_PROBLEMS) {
      this.#problems.push({ code: 'record_corrupt', where: this.#options.folder, message: 'and more problems' })
    }
  }
}
