/**
 * What a gateway does about credentials that only a stolen key can have made (reference id DT-1): on its own record, a word
 * to its operator, and to the authority, which raises the alarm. Bounded, whatever is shown to it.
 */

import { DoorwardError } from '@doorward/core'
import type { Clock } from '@doorward/core'
import { Sightings } from '@doorward/enforcement'
import type { Denial, Inbound, PipelineWatch, Record, Sighting, SightingsDependencies } from '@doorward/enforcement'
import { timerSleep } from '@doorward/sdk'
import { EntryRate } from '../authority/entry-rate.ts'
import { maxDetections, sightingDocument } from '../transports/detections-route.ts'

export interface GatewayDetectionsParts extends SightingsDependencies {
  readonly record: Record
  readonly clock: Clock
  /** Sends `{detections}` to an authority; rejects when it has not arrived. */
  readonly send: (body: string, signal: AbortSignal) => Promise<void>
  readonly warn: (code: string, text: string) => void
  readonly onProblem: (error: unknown) => void
}

/** One entry per credential and second, and so many credentials. */
const entryRate = { windowMilliseconds: 1000, most: 16 }
/** One word per key and minute. */
const wordRate = { windowMilliseconds: 60_000, most: 16 }
/** What waits for the authority: one per key and reason, the newest. */
const MAX_WAITING = 64
const PAUSE = { first: 200, most: 5000 }

export class GatewayDetections implements PipelineWatch {
  readonly sightings: Sightings
  readonly #parts: GatewayDetectionsParts
  readonly #entries = new EntryRate(entryRate)
  readonly #words = new EntryRate(wordRate)
  readonly #waiting = new Map<string, Sighting>()
  #wake: () => void = () => undefined

  constructor(parts: GatewayDetectionsParts) {
    this.#parts = parts
    this.sightings = new Sightings(parts)
  }

  refused(inbound: Inbound, denial: Denial): void {
    const sighting = this.sightings.judge(inbound, denial)
    if (sighting === null) return
    const { record, clock, warn, onProblem } = this.#parts
    const { keyId, reason, kind, claimed } = sighting
    const now = clock()
    if (!this.#entries.take(`${keyId} ${sighting.credential}`, now)) return
    record
      .append({ kind: 'detection', body: { detector: 'DT-1', subject: keyId, ...sightingDocument(sighting) } })
      .catch(onProblem)
    const text = `DT-1: key ${keyId} has signed a ${kind} that no authority has issued (${reason}), for ${claimed || 'nobody'}; it was refused, and the authority is told`
    if (this.#words.take(keyId, now)) warn('detection', text)
    this.#queue(sighting)
  }

  identified(): void {
    // Whoever is identified is nobody that a gateway has to tell of.
  }

  #queue(sighting: Sighting): void {
    const key = `${sighting.keyId} ${sighting.reason}`
    if (!this.#waiting.has(key) && this.#waiting.size >= MAX_WAITING) return
    this.#waiting.set(key, sighting)
    this.#wake()
  }

  /** Tells the authority as soon as there is something, until the signal aborts. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    signal.addEventListener('abort', () => this.#wake(), { once: true })
    for (let pause = PAUSE.first; !signal.aborted;) {
      if (this.#waiting.size === 0) await new Promise<void>((resolve) => (this.#wake = resolve))
      if (signal.aborted) return
      const told = await this.#tell(signal).catch((error: unknown) => {
        if (!signal.aborted) this.#parts.onProblem(error)
        return false
      })
      pause = told ? PAUSE.first : Math.min(PAUSE.most, pause * 2)
      await timerSleep(pause, signal)
    }
  }

  async #tell(signal: AbortSignal): Promise<true> {
    const batch = [...this.#waiting].slice(0, maxDetections)
    await this.#parts.send(
      JSON.stringify({ detections: batch.map(([, sighting]) => sightingDocument(sighting)) }),
      signal,
    )
    // What has come meanwhile under the same name waits on.
    for (const [key, sighting] of batch) if (this.#waiting.get(key) === sighting) this.#waiting.delete(key)
    return true
  }
}

/** The refusal of an authority that was told, as an error. */
export function notTaken(status: number, code: string): DoorwardError {
  return new DoorwardError('detection_refused', 'the authority did not take a detection', { got: `${status} ${code}` })
}
