/** Follows the authority's trust-state stream: verifies, applies, remembers, acknowledges; keeps the last good state whatever happens. */

import { DoorwardError, isDoorwardError, parseTrustMessage, trustMessageBytes } from '@doorward/core'
import type { TrustMessage, TrustScope, TrustStateVersion } from '@doorward/core'
import { Acknowledger } from './acknowledger.ts'
import type { AuthorityAnswer, AuthorityCalls } from './authority-calls.ts'
import { isOfThePlace } from './authority-route.ts'
import type { RoutedPlace } from './authority-route.ts'
import { withinAnswerTime } from './https-exchange.ts'
import { readLines } from './lines.ts'
import { readRefusal, refusalError } from './refusal.ts'
import { backoffMilliseconds } from './runtime.ts'
import type { Runtime } from './runtime.ts'
import { statementError } from './trust-store.ts'
import type { TrustStore } from './trust-store.ts'

export interface TrustClientOptions {
  readonly store: TrustStore
  readonly scope: TrustScope
  /** The running authorities, as one. */
  readonly authority: AuthorityCalls
  readonly runtime: Runtime
  readonly onProblem: (error: unknown) => void
  /** Brings the authority's current anchors when those at hand are too old to connect with: the enrolment greeting. */
  readonly rescue: () => Promise<void>
  /** 15 s by default: heartbeats come every 5 s, and three missed ones mean that the stream is dead without saying so. */
  readonly silenceMilliseconds?: number
}

/** An authority that is back is heard again within 5 s. */
const BACKOFF = { first: 200, cap: 4000 }
const SILENCE = 15_000
/** Callers may be a thousand, and what they acknowledge may cost each a handshake. */
const CALLERS_SPREAD = 1500

export class TrustClient {
  readonly #options: TrustClientOptions

  readonly #silence: number
  readonly #acks: Acknowledger<Acknowledged>

  constructor(options: TrustClientOptions) {
    this.#options = options
    this.#silence = options.silenceMilliseconds ?? SILENCE
    const { runtime, onProblem, scope } = options
    const spreadMilliseconds = scope === 'callers' ? CALLERS_SPREAD : 0
    this.#acks = new Acknowledger({ send: (told) => this.#acknowledge(told), runtime, onProblem, spreadMilliseconds })
  }

  /** Follows until the signal aborts; reconnects with backoff. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { runtime } = this.#options
    for (let attempt = 0; !signal.aborted; attempt++) {
      const started = runtime.monotonic()
      try {
        await this.#follow(signal)
      } catch (error) {
        if (!signal.aborted) await this.#cope(error)
      }
      if (runtime.monotonic() - started > this.#silence) attempt = 0
      if (!signal.aborted) await runtime.sleep(backoffMilliseconds(attempt, BACKOFF, runtime.chance()), signal)
    }
  }

  /** One state, for processes that do not live long. Throws what the call or the state's judgement throws. */
  async refresh(signal?: AbortSignal): Promise<void> {
    const { response } = await this.#open('', withinAnswerTime(signal))
    for await (const line of readLines(response.body as AsyncIterable<Uint8Array>, trustMessageBytes)) {
      await this.#take(messageOf(line), null)
      return
    }
    throw new DoorwardError('trust_message_malformed', 'the authority answered without a trust state', {
      where: this.#options.authority.issuer,
    })
  }

  /** `refresh`, past anchors that are too old to connect with. Throws as `refresh`. */
  async renewView(signal?: AbortSignal): Promise<void> {
    if (this.#options.store.view() === null) await this.#options.rescue()
    try {
      await this.refresh(signal)
    } catch (error) {
      if (!mayBeNews(error)) throw error
      await this.#options.rescue()
      await this.refresh(signal)
    }
  }

  async #cope(problem: unknown): Promise<void> {
    this.#options.onProblem(problem)
    if (this.#options.store.view() !== null && !mayBeNews(problem)) return
    await this.#options.rescue().catch(this.#options.onProblem)
  }

  /** A place that falls silent, breaks off or tells of the past is left for another one. */
  async #follow(signal: AbortSignal): Promise<void> {
    const { authority } = this.#options
    const silence = new AbortController()
    const either = AbortSignal.any([signal, silence.signal])
    const watch = () => setTimeout(() => silence.abort(), this.#silence)
    let timer = watch()
    let place: RoutedPlace | null = null
    try {
      const opened = await this.#open('?follow=true', either)
      place = opened.place
      for await (const line of readLines(opened.response.body as AsyncIterable<Uint8Array>, trustMessageBytes)) {
        clearTimeout(timer)
        timer = watch()
        await this.#take(messageOf(line), { place, signal })
      }
    } catch (error) {
      if (place !== null && (silence.signal.aborted || isOfThePlace(error))) authority.failed(place)
      throw error
    } finally {
      clearTimeout(timer)
    }
    throw new DoorwardError('trust_stream_ended', 'the trust-state stream ended', { where: place.main })
  }

  async #open(query: string, signal: AbortSignal): Promise<AuthorityAnswer> {
    const { authority, scope } = this.#options
    const path = scope === 'full' ? '/v1/trust-state/full' : '/v1/trust-state'
    const answer = await authority.call(`${path}${query}`, { headers: { accept: 'application/x-ndjson' }, signal })
    if (answer.response.status === 200) return answer
    throw refusalError(await readRefusal(answer.response), answer.place.main)
  }

  /** `following` is null for a single state, which is not acknowledged: its process is gone in a moment. */
  async #take(message: TrustMessage, following: Following | null): Promise<void> {
    const { store, authority } = this.#options
    const where = following?.place.main ?? authority.issuer
    if (message.kind === 'heartbeat') {
      const result = store.beat(message)
      if (typeof result === 'object') this.#options.onProblem(statementError(result, where))
      return
    }
    const result = await store.accept(message)
    if ('code' in result) throw statementError(result, where)
    if (following !== null) this.#acks.tell({ ...following, version: result.version }, following.signal)
  }

  /** Where the state came from, because there its followers are counted. */
  async #acknowledge({ version, place, signal }: Acknowledged): Promise<void> {
    const { authority, scope } = this.#options
    const { delegation, sequence } = version
    const response = await authority.callAt(place, '/v1/trust-state/ack', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ scope, delegation, sequence }),
      signal: withinAnswerTime(signal),
    })
    if (response.status >= 300) throw refusalError(await readRefusal(response), place.main)
    response.body.resume()
  }
}

interface Acknowledged extends Following {
  readonly version: TrustStateVersion
}

interface Following {
  readonly place: RoutedPlace
  readonly signal: AbortSignal
}

/**
 * Whether anchors that we do not have may be the reason: the server's is not among ours, or ours not among the server's,
 * which closes the connection after the handshake without a word.
 */
function mayBeNews(problem: unknown): boolean {
  return isDoorwardError(problem, 'server_untrusted') || isDoorwardError(problem, 'connection_lost')
}

function messageOf(line: string): TrustMessage {
  const message = parseTrustMessage(line)
  if ('code' in message) throw statementError(message, 'trust-state stream')
  return message
}
