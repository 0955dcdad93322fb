/** Publishes the trust state: assembled from the store, signed, appended by compare-and-swap, announced (reference ids RV-1 … RV-3). */

import {
  DoorwardError,
  epochMillis,
  fromBase64url,
  signHeartbeat,
  signTrustAnchors,
  signTrustState,
  toSeconds,
  trustStateDigest,
} from '@doorward/core'
import type { EpochMillis, EpochSeconds, TrustState } from '@doorward/core'
import { nowSeconds } from './context.ts'
import type { AuthorityContext } from './context.ts'
import type { HeldDelegation } from './delegation.ts'
import { assembleTrustState } from './trust-assembly.ts'
import type { TrustAudience } from './trust-audience.ts'

export interface PublishedState {
  readonly state: TrustState
  /** SHA-256 of the signed bytes, base64url. */
  readonly digest: string
  /** JSON of the signed state. */
  readonly text: string
  /** JSON of the signed statement of its anchors alone, for those who are not workloads yet. */
  readonly anchorsText: string
}

export interface PublisherOptions {
  readonly context: AuthorityContext
  readonly delegation: HeldDelegation
  readonly audience: TrustAudience
  /** Applies a state that is durable, before anybody else hears of it. */
  readonly onState: (published: PublishedState, time: EpochSeconds) => void
  /** The held state is still the newest, at this time. */
  readonly onConfirmed: (time: EpochSeconds) => void
}

interface Timed {
  readonly time: EpochSeconds
}

export interface SignedBeat extends Timed {
  /** JSON of the signed heartbeat. */
  readonly text: string
}

interface Waiting {
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

/**
 * Changes within a moment make one state. The moment is short while states are small, and grows with the work that one
 * takes, so that publishing costs a tenth of the time at most until the bound is reached.
 */
const coalesce = { leastMilliseconds: 10, mostMilliseconds: 100, perWork: 10 }
/** Another authority may append in between; more often than this in a row is a fault. */
const MAX_ATTEMPTS = 8
const refreshSeconds = 3600

export class TrustPublisher {
  readonly #options: PublisherOptions
  #delegation: HeldDelegation
  #published: PublishedState | null = null
  #publishedAt: EpochMillis = epochMillis(0)
  #beat: (Timed & { readonly digest: string; readonly text: Promise<string> }) | null = null
  #waiting: Waiting[] = []
  #scheduled = false
  #workMilliseconds = 0

  constructor(options: PublisherOptions) {
    this.#options = options
    this.#delegation = options.delegation
  }

  /** The newest state that this authority has published; throws `trust_state_unpublished` before the first. */
  current(): PublishedState {
    if (this.#published !== null) return this.#published
    throw new DoorwardError('trust_state_unpublished', 'no trust state has been published yet')
  }

  get delegation(): HeldDelegation {
    return this.#delegation
  }

  /** From the next state on. */
  useDelegation(delegation: HeldDelegation): void {
    this.#delegation = delegation
  }

  /**
   * Resolves when a state that holds everything stored before this call is durable and announced; calls that come
   * together share one state. Rejects when the store, custody or the record fails: then the change is stored and goes
   * out with the next state.
   */
  publish(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject })
      this.#schedule()
    })
  }

  /** Signs and announces a heartbeat, when the state held is still the newest; else publishes again. */
  async beat(): Promise<void> {
    const { context, audience, onConfirmed } = this.#options
    const { state, digest } = this.current()
    const beat = nowSeconds(context) - state.issuedAt < refreshSeconds ? await this.heartbeat() : null
    if (beat === null) return this.publish()
    // A state may have been published while this was signed.
    if (this.current().digest !== digest) return
    onConfirmed(beat.time)
    audience.announce({ kind: 'heartbeat', text: beat.text })
  }

  /**
   * A heartbeat of this second for the state held; null when that is not the newest any more or its delegation is not in
   * use, so that a new one is about to be published. Many who ask at once share one signature.
   */
  async heartbeat(): Promise<SignedBeat | null> {
    const { context } = this.#options
    const { state, digest } = this.current()
    const newest = await context.store.trust.newest()
    if (newest?.sequence !== state.sequence || this.#delegation.stored.version !== state.delegation) return null
    const time = nowSeconds(context)
    if (this.#beat?.digest !== digest || this.#beat.time !== time)
      this.#beat = { digest, time, text: this.#signBeat({ state, digest, time }) }
    return { time, text: await this.#beat.text }
  }

  async #signBeat({ state, digest, time }: Pick<PublishedState, 'state' | 'digest'> & Timed): Promise<string> {
    const { delegation, sequence, trustDomain } = state
    return JSON.stringify(
      await signHeartbeat({ trustDomain, delegation, sequence, digest, time }, this.#delegation.key),
    )
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    const { leastMilliseconds, mostMilliseconds, perWork } = coalesce
    const pause = Math.min(mostMilliseconds, Math.max(leastMilliseconds, perWork * this.#workMilliseconds))
    const since = this.#options.context.clock() - this.#publishedAt
    // A clock that was stepped must not stretch the pause.
    setTimeout(() => void this.#publishWaiting(), since < 0 ? pause : Math.max(0, pause - since))
  }

  async #publishWaiting(): Promise<void> {
    const waiting = this.#waiting
    this.#waiting = []
    const { clock } = this.#options.context
    const started = clock()
    try {
      await this.#publishNow()
      this.#workMilliseconds = Math.max(0, clock() - started)
      for (const { resolve } of waiting) resolve()
    } catch (error) {
      for (const { reject } of waiting) reject(error)
    }
    this.#scheduled = false
    if (this.#waiting.length > 0) this.#schedule()
  }

  async #publishNow(): Promise<void> {
    const { context, onState, audience } = this.#options
    const { store, log } = context
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const after = (await store.trust.newest())?.sequence ?? 0
      const published = await this.#sign(after + 1)
      const { delegation, sequence, epoch, workloads, issued } = published.state
      await log.append({
        kind: 'trust',
        body: {
          change: 'state',
          delegation,
          sequence,
          epoch,
          digest: published.digest,
          workloads: workloads.length,
          issued: issued.length,
        },
      })
      if (!(await store.trust.append({ delegation, sequence, message: published.text }, after))) continue
      this.#published = published
      this.#publishedAt = context.clock()
      onState(published, toSeconds(this.#publishedAt))
      audience.announce({ kind: 'state', text: published.text })
      return
    }
    throw new DoorwardError('trust_state_raced', 'other authorities publish without pause')
  }

  async #sign(sequence: number): Promise<PublishedState> {
    const { context } = this.#options
    const { stored, signed, key } = this.#delegation
    const now = nowSeconds(context)
    const state = assembleTrustState(await context.store.trust.material(now), {
      trustDomain: context.trustDomain,
      delegation: stored.version,
      delegationExpiresAt: stored.expiresAt,
      sequence,
      now,
    })
    const tools = { signKey: key, sha256: context.sha256 }
    const message = await signTrustState(state, signed, tools)
    const anchors = await signTrustAnchors(state, signed, tools)
    const payload = fromBase64url(message.payload)
    if (payload === null) throw new DoorwardError('trust_state_invalid', 'the signed trust state does not decode')
    const digest = trustStateDigest(payload, context.sha256)
    return { state, digest, text: JSON.stringify(message), anchorsText: JSON.stringify(anchors) }
  }
}
