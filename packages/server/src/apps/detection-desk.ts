/**
 * Where findings of one part come together: looked at once a second, told once, on record when they begin and when they are
 * over, in order, however long the record does not take them.
 */

import type { Clock, EpochMillis } from '@doorward/core'
import { findingKey, StandingFindings } from '@doorward/enforcement'
import type { EntryReference, Found, StandingFinding } from '@doorward/enforcement'
import { timerSleep } from '@doorward/sdk'
import type { KeptFinding } from './detection-file.ts'

export type Look = () => readonly Found[]

export interface DeskParts {
  readonly looks: readonly Look[]
  /** What stood when the process before ended. */
  readonly before: readonly KeptFinding[]
  /** Enters the body of a `detection`. Rejects when it is not on record. */
  readonly enter: (body: object) => Promise<EntryReference>
  /** How many entries are under a checkpoint, so that those who follow the log may read them. */
  readonly covered: () => number
  /** A finding that has begun, lasts (once a minute), or is over; on record by now. Never throws. */
  readonly onTold: (finding: StandingFinding, phase: 'begun' | 'lasting' | 'ended') => void
  /** Keeps what stands for the next start. */
  readonly keep: (findings: readonly KeptFinding[]) => Promise<void>
  /** One line for the operator, whether or not it can be recorded. */
  readonly warn: (code: string, text: string) => void
  readonly onProblem: (error: unknown) => void
  readonly clock: Clock
  /** Milliseconds that never go back. */
  readonly monotonic: () => number
  /** Between looks. */
  readonly pauseMilliseconds: number
}

interface Entered {
  readonly name: string
  readonly index: number
  /** When it was found. */
  readonly at: EpochMillis
}

interface Waiting {
  readonly finding: StandingFinding
  readonly ended: boolean
  readonly at: EpochMillis
}

/** What waits for a record that does not take it. */
const MAX_WAITING = 1024
const REFRESH_MILLISECONDS = 60_000
/** So long a record may take without a word beside it. */
const UNRECORDED_MILLISECONDS = 2000

export class DetectionDesk {
  readonly #parts: DeskParts
  readonly #standing: StandingFindings
  readonly #entries = new Map<string, Entered>()
  readonly #waiting: Waiting[] = []
  #refreshedAt: number
  #unkept = true
  #failing = false

  constructor(parts: DeskParts) {
    this.#parts = parts
    this.#standing = new StandingFindings(parts.before)
    this.#refreshedAt = parts.monotonic()
    // What the process before has entered has been covered since by the checkpoint of the start.
    for (const one of parts.before)
      if (one.entry !== null) this.#entries.set(findingKey(one), { name: one.entry, index: -1, at: one.since })
  }

  /** What stands now. */
  current(): readonly KeptFinding[] {
    return this.#standing.current().map((one) => ({ ...one, entry: this.#entries.get(findingKey(one))?.name ?? null }))
  }

  /** Findings that nobody can read in the record some seconds after they were found. */
  unrecorded(): readonly StandingFinding[] {
    const { clock, covered } = this.#parts
    const old = clock() - UNRECORDED_MILLISECONDS
    const size = covered()
    const entered = this.#standing.current().filter((finding) => {
      const entry = this.#entries.get(findingKey(finding))
      return entry !== undefined && entry.index >= size && entry.at <= old
    })
    const waiting = this.#waiting.filter(({ ended, at }) => !ended && at <= old)
    return [...waiting.map(({ finding }) => finding), ...entered]
  }

  /** Looks until the signal aborts. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { pauseMilliseconds } = this.#parts
    while (!signal.aborted) {
      await this.look()
      await timerSleep(pauseMilliseconds, signal)
    }
  }

  /** One look at everything. Never rejects. */
  async look(): Promise<void> {
    const { monotonic, clock, warn } = this.#parts
    const now = monotonic()
    const at = clock()
    const { begun, worsened, ended } = this.#standing.replace(this.#found(), now, at)
    for (const finding of [...begun, ...worsened]) {
      warn('detection', `${finding.detector}: ${finding.subject}: ${finding.detail}`)
      this.#queue({ finding, ended: false, at })
    }
    for (const finding of ended) {
      warn('detection_ended', `${finding.detector}: ${finding.subject}: over`)
      this.#queue({ finding, ended: true, at })
    }
    await this.#enterWaiting()
    if (now - this.#refreshedAt >= REFRESH_MILLISECONDS) this.#refresh(now)
    if (this.#unkept) await this.#keep()
  }

  #found(): readonly Found[] {
    return this.#parts.looks.flatMap((look) => {
      try {
        return look()
      } catch (error) {
        this.#parts.onProblem(error)
        return []
      }
    })
  }

  #queue(waiting: Waiting): void {
    this.#unkept = true
    if (this.#waiting.length < MAX_WAITING) this.#waiting.push(waiting)
    else this.#parts.warn('detection_unrecorded', `${findingKey(waiting.finding)}: too much waits for the record`)
  }

  async #enterWaiting(): Promise<void> {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      try {
        const entry = await this.#parts.enter(bodyOf(next))
        this.#failing = false
        this.#waiting.shift()
        this.#entered(next, entry)
      } catch (error) {
        // Told once: what stands says the rest.
        if (!this.#failing) this.#parts.onProblem(error)
        this.#failing = true
        return
      }
    }
  }

  #entered({ finding, ended, at }: Waiting, entry: EntryReference): void {
    const key = findingKey(finding)
    this.#unkept = true
    if (ended) this.#entries.delete(key)
    else this.#entries.set(key, { name: entry.toString(), index: entry.index, at })
    this.#parts.onTold(finding, ended ? 'ended' : 'begun')
  }

  #refresh(now: number): void {
    this.#refreshedAt = now
    for (const finding of this.#standing.current()) {
      this.#unkept = true
      this.#parts.onTold(finding, 'lasting')
    }
  }

  async #keep(): Promise<void> {
    try {
      this.#unkept = false
      await this.#parts.keep(this.current())
    } catch (error) {
      this.#parts.onProblem(error)
    }
  }
}

/** Body of a `detection` entry. Times are milliseconds since the epoch. */
function bodyOf({ finding, ended, at }: Waiting): object {
  const { detector, subject, severity, detail, since } = finding
  const told = { detector, subject, severity, detail, since }
  return ended ? { ...told, ended: true, ended_at: at } : told
}
