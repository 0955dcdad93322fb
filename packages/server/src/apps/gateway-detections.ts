/**
 * What a gateway does about credentials that only a stolen key can have made (reference id DT-1): on its own record, a word
 * to its operator, and to the authority, which raises the alarm. Bounded, whatever is shown to it. All other refusals are
 * counted.
 */

import type { Clock } from '@doorward/core'
import { Sightings } from '@doorward/enforcement'
import type { Denial, Inbound, PipelineWatch, Record, RefusalRates, SightingsDependencies } from '@doorward/enforcement'
import { EntryRate } from '../authority/entry-rate.ts'
import { maxDetections, sightingDocument } from '../transports/detections-route.ts'
import { GatewayTelling } from './gateway-telling.ts'

export interface GatewayDetectionsParts extends SightingsDependencies {
  readonly record: Record
  readonly clock: Clock
  readonly rates: Pick<RefusalRates, 'refused' | 'handshakeRefused'>
  /** Sends `{detections}` to an authority; rejects when it has not arrived. */
  readonly send: (body: string, signal: AbortSignal) => Promise<void>
  readonly warn: (code: string, text: string) => void
  readonly onProblem: (error: unknown) => void
}

/** One entry per credential and second, and so many credentials. */
const entryRate = { windowMilliseconds: 1000, most: 16 }
/** One word per key and minute. */
const wordRate = { windowMilliseconds: 60_000, most: 16 }

export class GatewayDetections implements PipelineWatch {
  readonly sightings: Sightings
  readonly #parts: GatewayDetectionsParts
  readonly #entries = new EntryRate(entryRate)
  readonly #words = new EntryRate(wordRate)
  readonly #telling: GatewayTelling

  constructor(parts: GatewayDetectionsParts) {
    this.#parts = parts
    this.sightings = new Sightings(parts)
    const bodyOf = (detections: readonly object[]) => ({ detections })
    this.#telling = new GatewayTelling({ ...parts, bodyOf, most: maxDetections })
  }

  refused(inbound: Inbound, denial: Denial): void {
    this.#parts.rates.refused(inbound.connection.remoteAddress, denial)
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
    this.#telling.tell(`${keyId} ${reason}`, sightingDocument(sighting))
  }

  identified(): void {
    // Whoever is identified is nobody that a gateway has to tell of.
  }

  handshakeRefused(remoteAddress: string, reason: string): void {
    this.#parts.rates.handshakeRefused(remoteAddress, reason)
  }

  /** Tells the authority as soon as there is something, until the signal aborts. Never rejects. */
  run(signal: AbortSignal): Promise<void> {
    return this.#telling.run(signal)
  }
}
