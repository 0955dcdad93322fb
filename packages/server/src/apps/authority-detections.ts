/** What an authority notices about those who call it: forged credentials (DT-1), canary identities in use (DT-5), and how often it refuses. */

import type { Clock } from '@doorward/core'
import { Sightings } from '@doorward/enforcement'
import type {
  Denial,
  Identified,
  Inbound,
  PipelineWatch,
  RefusalRates,
  SightingsDependencies,
} from '@doorward/enforcement'
import { EntryRate } from '../authority/entry-rate.ts'
import type { SeenCredential } from '../authority/detect/forged-credential.ts'

export interface AuthorityDetectionsParts extends SightingsDependencies {
  readonly clock: Clock
  readonly rates: RefusalRates
  /** Raises the alarm about a forged credential. */
  readonly sighted: (seen: SeenCredential) => Promise<void>
  readonly isCanary: (id: string) => boolean
  readonly canaryUsed: (id: string, how: string) => Promise<void>
  readonly onProblem: (error: unknown) => void
}

/** One per credential or canary and second, and so many of them: what strangers show must not keep the store busy. */
const rate = { windowMilliseconds: 1000, most: 16 }

export class AuthorityDetections implements PipelineWatch {
  readonly sightings: Sightings
  readonly #parts: AuthorityDetectionsParts
  readonly #rate = new EntryRate(rate)

  constructor(parts: AuthorityDetectionsParts) {
    this.#parts = parts
    this.sightings = new Sightings(parts)
  }

  refused(inbound: Inbound, denial: Denial): void {
    this.#parts.rates.refused(inbound.connection.remoteAddress, denial)
    const sighting = this.sightings.judge(inbound, denial)
    if (sighting === null || !this.#takes(`${sighting.keyId} ${sighting.credential}`)) return
    this.#parts.sighted(sighting).catch(this.#parts.onProblem)
  }

  identified({ principal, inbound }: Identified): void {
    const id = principal.presenter.uri
    if (!this.#parts.isCanary(id) || !this.#takes(id)) return
    const { connection, head } = inbound
    const how = `${head.method} ${head.path} from ${connection.remoteAddress}, with certificate ${principal.certificateSerial}`
    this.#parts.canaryUsed(id, how).catch(this.#parts.onProblem)
  }

  handshakeRefused(remoteAddress: string, reason: string): void {
    this.#parts.rates.handshakeRefused(remoteAddress, reason)
  }

  #takes(key: string): boolean {
    return this.#rate.take(key, this.#parts.clock())
  }
}
