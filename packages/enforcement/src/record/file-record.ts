/** The record on disk: group commit, back-pressure, checkpoints and recovery around one journal. */

import {
  DoorwardError,
  SALT_BYTES,
  encodeLeaf,
  encodePayload,
  epochMillis,
  isDoorwardError,
  leafHash,
} from '@doorward/core'
import type { Clock, EpochMillis, JournalFrame, RandomBytes, Sha256, SignedCheckpoint } from '@doorward/core'
import type { CheckpointPublisher } from './checkpoint-publisher.ts'
import type { RecordDisk } from './disk.ts'
import { unavailable } from './journal-writer.ts'
import type { JournalWriter } from './journal-writer.ts'
import type { LogTree } from './log-tree.ts'
import type { Record, RecordEntry } from './record.ts'
import { acknowledge } from './reference.ts'
import type { EntryReference } from './reference.ts'
import type { Suspension } from './suspension.ts'

export interface RecordLimits {
  /** Appends that may wait; one more is refused with `record_busy`. */
  readonly queueEntries: number
  readonly queueBytes: number
  /** The most entries in one group commit. */
  readonly batchEntries: number
  /** Entries that no checkpoint covers; beyond it appends are refused with `record_busy`. */
  readonly uncoveredEntries: number
  /** A segment is closed once it is longer than this. */
  readonly segmentBytes: number
  /** Pause between attempts to recover. */
  readonly retryMilliseconds: number
  /** Kept free for a full disk; 0 for none. */
  readonly reserveBytes: number
}

export const RECORD_LIMITS: RecordLimits = {
  queueEntries: 8192,
  queueBytes: 33_554_432,
  batchEntries: 2048,
  uncoveredEntries: 131_072,
  segmentBytes: 16_777_216,
  retryMilliseconds: 1000,
  reserveBytes: 67_108_864,
}

export interface RecordStats {
  readonly origin: string
  readonly state: 'open' | 'failed' | 'forked' | 'closed'
  /** The disk is full, and the log says so. */
  readonly suspended: boolean
  /** Code of the last failure; null while all is well. */
  readonly failure: string | null
  /** Acknowledged entries, and how many of them the newest checkpoint covers. */
  readonly size: number
  readonly checkpointSize: number
  readonly queued: number
  /** Syncs of the journal since it was opened. */
  readonly syncs: number
  /** Group commits since it was opened, and what they took together, as far as they were timed. */
  readonly commits: { readonly count: number; readonly milliseconds: number }
  readonly segment: string
}

export interface RecordParts {
  readonly origin: string
  readonly disk: RecordDisk
  readonly journal: JournalWriter
  readonly tree: LogTree
  readonly publisher: CheckpointPublisher
  readonly lastTime: EpochMillis
  readonly sha256: Sha256
  readonly random: RandomBytes
  readonly clock: Clock
  readonly monotonic?: () => number
  readonly limits: RecordLimits
  readonly suspension: Suspension
  /** Called last, whatever happened before. */
  readonly release: () => void
}

type State =
  | { readonly at: 'open' }
  | { readonly at: 'failed'; readonly error: DoorwardError }
  | { readonly at: 'forked'; readonly error: DoorwardError }
  | { readonly at: 'closed' }

interface Waiting {
  readonly time: EpochMillis
  readonly payload: Uint8Array
  readonly entry: RecordEntry
  readonly resolve: (reference: EntryReference) => void
  readonly reject: (error: Error) => void
}

/** How long patient entries wait for one that is not. */
const PATIENCE_MILLISECONDS = 10
/** A checkpoint follows the last entry of a burst after this pause, and the first after at most eight of them. */
const QUIET_MILLISECONDS = 25
const QUIETS_WHEN_BUSY = 8
/** Checkpoints that may fail in a row (one a second) before appends are refused. */
const CHECKPOINT_FAILURES = 5

export class FileRecord implements Record {
  readonly #parts: RecordParts
  #state: State = { at: 'open' }
  #queue: Waiting[] = []
  #queuedBytes = 0
  /** Entries of the queue up to the last one that somebody waits for. */
  #due = 0
  #patienceTimer: NodeJS.Timeout | null = null
  #lastTime: EpochMillis
  #committing: Promise<void> | null = null
  #checkpoint: SignedCheckpoint | null = null
  #publishing: Promise<SignedCheckpoint> | null = null
  #publishFailures = 0
  #checkpointTimer: NodeJS.Timeout | null = null
  #repairTimer: NodeJS.Timeout | null = null
  #repairing: Promise<void> = Promise.resolve()
  /** The journal's last write failed. */
  #torn = false
  #closing = false
  readonly #commits = { count: 0, milliseconds: 0 }
  #listener: (entry: RecordEntry) => void = () => undefined

  constructor(parts: RecordParts) {
    this.#parts = parts
    this.#lastTime = parts.lastTime
    parts.suspension.begin()
  }

  /** Tells one listener of every entry that has become durable, in their order; it must not throw. */
  onDurable(listener: (entry: RecordEntry) => void): void {
    this.#listener = listener
  }

  async append(entry: RecordEntry): Promise<EntryReference> {
    const refusal = this.#refusal()
    if (refusal !== null) {
      this.#parts.suspension.refused(1)
      throw refusal
    }
    return new Promise((resolve, reject) => {
      this.#queue.push(this.#stamp(entry, resolve, reject))
      if (entry.patient === true) this.#commitSoon()
      else this.#commitNow()
    })
  }

  #stamp(entry: RecordEntry, resolve: Waiting['resolve'], reject: Waiting['reject']): Waiting {
    // Hybrid: the clock's time, but never before the entry before it.
    const time = epochMillis(Math.max(this.#parts.clock(), this.#lastTime))
    const payload = encodePayload(entry.kind, time, entry.body)
    this.#lastTime = time
    this.#queuedBytes += payload.length
    return { time, payload, entry, resolve, reject }
  }

  #commitSoon(): void {
    this.#patienceTimer ??= setTimeout(() => {
      this.#patienceTimer = null
      this.#commitNow()
    }, PATIENCE_MILLISECONDS)
  }

  /** Commits everything that waits, in its order. */
  #commitNow(): void {
    this.#due = this.#queue.length
    if (this.#due > 0) this.#committing ??= this.#commitAll()
  }

  #refusal(): DoorwardError | null {
    const { limits, tree } = this.#parts
    if (this.#closing || this.#state.at === 'closed') return closed()
    if (this.#state.at !== 'open') return this.#state.error
    if (this.#publishFailures >= CHECKPOINT_FAILURES) return unavailable('no checkpoint could be published', null)
    if (this.#queue.length >= limits.queueEntries || this.#queuedBytes >= limits.queueBytes) {
      return new DoorwardError('record_busy', 'too many entries wait for the disk')
    }
    if (tree.size - (this.#checkpoint?.size ?? 0) >= limits.uncoveredEntries) {
      return new DoorwardError('record_busy', 'too many entries wait for a checkpoint')
    }
    return null
  }

  // Runs until nobody waits: what arrives during one sync, or in one turn of the event loop, shares the next.
  async #commitAll(): Promise<void> {
    while (this.#due > 0 && this.#state.at === 'open') {
      await endOfTurn()
      const batch = this.#queue.splice(0, this.#parts.limits.batchEntries)
      this.#due = Math.max(0, this.#due - batch.length)
      try {
        await this.#commit(batch)
      } catch (error) {
        this.#torn = true
        this.#fail(unavailable('the journal could not be written', error), batch)
      }
    }
    this.#committing = null
  }

  async #commit(batch: readonly Waiting[]): Promise<void> {
    const { journal, tree, sha256, origin, monotonic } = this.#parts
    const began = monotonic?.() ?? 0
    const frames = this.#frames(batch)
    const durable = journal.commit(frames)
    // Hashed while the disk works, kept only if it succeeds.
    const leaves = frames.map((frame) => encodeLeaf(sha256, frame))
    const hashes = leaves.map((leaf) => leafHash(sha256, leaf))
    await durable
    this.#commits.count++
    this.#commits.milliseconds += (monotonic?.() ?? 0) - began
    for (const [i, waiting] of batch.entries()) {
      tree.append(leaves[i]!, hashes[i]!)
      this.#queuedBytes -= waiting.payload.length
      waiting.resolve(acknowledge(origin, frames[i]!.index))
      this.#listener(waiting.entry)
    }
    this.#checkpointSoon()
  }

  #frames(batch: readonly Waiting[]): readonly JournalFrame[] {
    const first = this.#parts.journal.next
    const salts = this.#parts.random(SALT_BYTES * batch.length)
    return batch.map(({ time, payload }, i) => ({
      index: first + i,
      batch: first,
      time,
      salt: salts.subarray(i * SALT_BYTES, (i + 1) * SALT_BYTES),
      payload,
    }))
  }

  #fail(error: DoorwardError, batch: readonly Waiting[]): void {
    const { suspension, limits } = this.#parts
    const waiting = [...batch, ...this.#queue]
    this.#queue = []
    for (const { payload } of waiting) this.#queuedBytes -= payload.length
    this.#due = 0
    this.#state = { at: 'failed', error }
    const suspended = suspension.starts(error)
    suspension.refused(waiting.length)
    for (const each of waiting) each.reject(error)
    this.#repairIn(suspended ? 0 : limits.retryMilliseconds)
  }

  #repairIn(milliseconds: number): void {
    const attempt = (): void => {
      this.#repairTimer = null
      this.#repairing = this.#repairing.then(() => this.#repair())
    }
    this.#repairTimer ??= setTimeout(attempt, milliseconds).unref()
  }

  async #repair(): Promise<void> {
    const { journal, suspension, limits } = this.#parts
    await this.#committing
    if (this.#state.at !== 'failed') return
    try {
      await suspension.giveBack()
      if (this.#torn) await journal.repair()
      this.#torn = false
      const whole = await suspension.settle((entry) => this.#write(entry))
      if (this.#state.at !== 'failed') return
      if (whole) this.#state = { at: 'open' }
      else this.#repairIn(limits.retryMilliseconds)
    } catch (error) {
      if (this.#state.at !== 'failed') return
      this.#state = { at: 'failed', error: unavailable('the journal could not be reopened', error) }
      this.#repairIn(limits.retryMilliseconds)
    }
  }

  /** Writes one entry while appends are refused. */
  async #write(entry: RecordEntry): Promise<void> {
    const nobody = (): void => undefined
    const stamped = this.#stamp(entry, nobody, nobody)
    try {
      await this.#commit([stamped])
    } catch (error) {
      this.#queuedBytes -= stamped.payload.length
      this.#torn = true
      throw error
    }
  }

  #checkpointSoon(): void {
    if (this.#checkpointTimer !== null || this.#publishing !== null) return
    let seen = this.#parts.tree.size
    let quiets = 0
    const look = (): void => {
      quiets += 1
      const quiet = this.#parts.tree.size === seen
      seen = this.#parts.tree.size
      if (!quiet && quiets < QUIETS_WHEN_BUSY) return void this.#checkpointTimer?.refresh()
      this.#checkpointTimer = null
      // Failure is remembered in #publish and tried again from there.
      this.#publish().catch(() => undefined)
    }
    this.#checkpointTimer = setTimeout(look, QUIET_MILLISECONDS).unref()
  }

  /** Publishes a checkpoint over everything acknowledged so far and returns it. Rejects as `append` does. */
  async checkpoint(): Promise<SignedCheckpoint> {
    if (this.#closing) throw closed()
    return this.#cover()
  }

  async #cover(): Promise<SignedCheckpoint> {
    const size = this.#parts.tree.size
    if (this.#publishing !== null) await this.#publishing.catch(() => undefined)
    if (this.#checkpoint !== null && this.#checkpoint.size >= size) return this.#checkpoint
    return this.#publish()
  }

  #publish(): Promise<SignedCheckpoint> {
    this.#publishing ??= this.#publishOnce().finally(() => {
      this.#publishing = null
      if (this.#state.at === 'closed' || this.#state.at === 'forked') return
      if (this.#publishFailures > 0) this.#retryCheckpoint()
      else if (this.#parts.tree.size > (this.#checkpoint?.size ?? -1)) this.#checkpointSoon()
    })
    return this.#publishing
  }

  async #publishOnce(): Promise<SignedCheckpoint> {
    if (this.#state.at === 'forked') throw this.#state.error
    const { tree, publisher } = this.#parts
    const snapshot = tree.snapshot()
    try {
      const signed = await publisher.publish(snapshot)
      tree.published(snapshot)
      this.#publishFailures = 0
      this.#checkpoint = signed
      return signed
    } catch (error) {
      this.#publishFailures += 1
      if (!isDoorwardError(error, 'record_forked')) {
        const failure = unavailable('the checkpoint could not be published', error)
        if (this.#state.at === 'open' && this.#parts.suspension.starts(error)) this.#fail(failure, [])
        throw failure
      }
      if (this.#state.at !== 'closed') this.#state = { at: 'forked', error }
      throw error
    }
  }

  #retryCheckpoint(): void {
    const attempt = (): void => {
      this.#checkpointTimer = null
      this.#publish().catch(() => undefined)
    }
    this.#checkpointTimer ??= setTimeout(attempt, this.#parts.limits.retryMilliseconds).unref()
  }

  /** Waits for what was accepted, publishes a last checkpoint and lets go of the folder, even when that fails. */
  async close(): Promise<void> {
    if (this.#closing) return
    this.#closing = true
    if (this.#patienceTimer !== null) clearTimeout(this.#patienceTimer)
    this.#commitNow()
    await this.#committing
    await this.#repairing
    const wasForked = this.#state.at === 'forked'
    this.#state = { at: 'closed' }
    for (const timer of [this.#checkpointTimer, this.#repairTimer]) if (timer !== null) clearTimeout(timer)
    this.#parts.suspension.close()
    try {
      if (!wasForked) await this.#cover()
    } finally {
      await this.#parts.journal.close().finally(this.#parts.release)
    }
  }

  /** For what the writer does to its log beside appending: deletions and redactions. */
  get disk(): RecordDisk {
    return this.#parts.disk
  }

  stats(): RecordStats {
    const { origin, tree, journal } = this.#parts
    const { at } = this.#state
    return {
      origin,
      state: at,
      suspended: this.#parts.suspension.active,
      failure: this.#failure(),
      size: tree.size,
      checkpointSize: this.#checkpoint?.size ?? 0,
      queued: this.#queue.length,
      syncs: journal.syncs,
      commits: { ...this.#commits },
      segment: journal.segment,
    }
  }

  #failure(): string | null {
    if (this.#state.at === 'failed' || this.#state.at === 'forked') return this.#state.error.code
    return this.#publishFailures > 0 ? 'record_unavailable' : null
  }
}

function endOfTurn(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve))
}

function closed(): DoorwardError {
  return new DoorwardError('record_closed', 'the record is closed')
}
