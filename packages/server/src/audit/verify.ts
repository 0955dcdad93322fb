/** Verifying a log offline: with its folder and its public key alone, derive everything again and compare. */

import { readFile } from 'node:fs/promises'
import { crc32 } from 'node:zlib'
import {
  DoorwardError,
  TILE_WIDTH,
  TreeEdge,
  encodeLeaf,
  epochMillis,
  equalBytes,
  isDoorwardError,
  leafHash,
  openCheckpoint,
  parsePayload,
  parseVerifierKey,
  scanSegment,
} from '@doorward/core'
import type {
  EpochMillis,
  JournalFrame,
  NoteVerifier,
  SegmentHeader,
  SegmentScan,
  Sha256,
  SignedCheckpoint,
  VerifyKey,
} from '@doorward/core'
import { checkpointNoteOf, segmentsOf } from './log-folder.ts'
import type { CosignedNote, SegmentOnDisk } from './log-folder.ts'
import type { Problem } from './problem.ts'
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

  constructor(options: VerifyOptions, verifier: NoteVerifier) {
    this.#options = options
    this.#verifier = verifier
    this.#edge = new TreeEdge(options.sha256)
  }

  async run(): Promise<VerifyReport> {
    await this.#readCheckpoints()
    await this.#checkAnchors()
    const segments = await segmentsOf(this.#options.folder)
    let before: { readonly header: SegmentHeader; readonly bytes: number } | null = null
    for (const [i, segment] of segments.entries()) {
      this.#options.signal?.throwIfAborted()
      const bytes = await readFile(segment.path)
      const scan = this.#scan(segment, bytes)
      if (scan === null) continue
      this.#checkHeader(segment, scan.header, before)
      await this.#checkFrames(segment, scan, i === segments.length - 1)
      before = { header: scan.header, bytes: bytes.length }
      this.#options.onProgress?.({ entries: this.#edge.size, expected: this.#checkpoint?.size ?? 0 })
    }
    return this.#report()
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

  #checkHeader(
    { path, first }: SegmentOnDisk,
    header: SegmentHeader,
    before: { readonly header: SegmentHeader; readonly bytes: number } | null,
  ): void {
    if (header.origin !== this.#verifier.name) {
      this.#add('record_foreign', path, `segment of ${header.origin}, expected ${this.#verifier.name}`)
    }
    if (header.vkey !== this.#options.vkey) this.#add('record_foreign', path, 'segment was begun under another key')
    if (header.first !== first)
      this.#add('record_corrupt', `${path}:0`, `named for entry ${first}, begins with ${header.first}`)
    if ((header.previous?.first ?? null) !== (before?.header.first ?? null)) {
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
      if (!this.#broken) await this.#grow(frame)
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
    try {
      if (parsePayload(frame.payload).time === frame.time) return
      this.#add('entry_malformed', where, `entry ${frame.index} has two different times`)
    } catch (error) {
      if (!isDoorwardError(error)) throw error
      this.#add('entry_malformed', where, `entry ${frame.index}: ${error.message}`)
    }
  }

  async #grow(frame: JournalFrame): Promise<void> {
    const leaf = encodeLeaf(this.#options.sha256, frame)
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
    await this.#checkAnchors(frame.time)
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
    return {
      origin: this.#verifier.name,
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
