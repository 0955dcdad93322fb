/** Follows the authority's trust-state stream: verifies, applies, remembers, acknowledges; keeps the last good state whatever happens. */

import { DoorwardError, isDoorwardError, parseTrustMessage, trustMessageBytes } from '@doorward/core'
import type { SpiffeId, TrustMessage, TrustScope } from '@doorward/core'
import { withinAnswerTime } from './https-exchange.ts'
import { readLines } from './lines.ts'
import { readRefusal, refusalError } from './refusal.ts'
import { backoffMilliseconds } from './runtime.ts'
import type { Runtime } from './runtime.ts'
import type { SignedFetch } from './signed-fetch.ts'
import { statementError } from './trust-store.ts'
import type { TrustStore } from './trust-store.ts'

export interface TrustClientOptions {
  readonly store: TrustStore
  readonly scope: TrustScope
  readonly fetch: SignedFetch
  readonly authorityUrl: string
  readonly authorityId: SpiffeId
  readonly runtime: Runtime
  readonly onProblem: (error: unknown) => void
  /** Brings the authority's current anchors when those at hand are too old to connect with: the enrolment greeting. */
  readonly rescue: () => Promise<void>
}

const BACKOFF = { first: 200, cap: 10_000 }
/** Heartbeats come every 5 s: three missed ones mean that the stream is dead without saying so. */
const SILENCE = 15_000

export class TrustClient {
  readonly #options: TrustClientOptions

  constructor(options: TrustClientOptions) {
    this.#options = options
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
      if (runtime.monotonic() - started > SILENCE) attempt = 0
      if (!signal.aborted) await runtime.sleep(backoffMilliseconds(attempt, BACKOFF, runtime.chance()), signal)
    }
  }

  /** One state, for processes that do not live long. Throws what the call or the state's judgement throws. */
  async refresh(signal?: AbortSignal): Promise<void> {
    const stream = await this.#open('', withinAnswerTime(signal))
    for await (const line of readLines(stream, trustMessageBytes)) {
      await this.#take(messageOf(line), null)
      return
    }
    throw new DoorwardError('trust_message_malformed', 'the authority answered without a trust state', {
      where: this.#options.authorityUrl,
    })
  }

  /** `refresh`, past anchors that are too old to connect with. Throws as `refresh`. */
  async renewView(signal?: AbortSignal): Promise<void> {
    if (this.#options.store.view() === null) await this.#options.rescue()
    try {
      await this.refresh(signal)
    } catch (error) {
      if (!isDoorwardError(error, 'server_untrusted')) throw error
      await this.#options.rescue()
      await this.refresh(signal)
    }
  }

  async #cope(problem: unknown): Promise<void> {
    this.#options.onProblem(problem)
    if (this.#options.store.view() !== null && !isDoorwardError(problem, 'server_untrusted')) return
    await this.#options.rescue().catch(this.#options.onProblem)
  }

  async #follow(signal: AbortSignal): Promise<void> {
    const silence = new AbortController()
    const either = AbortSignal.any([signal, silence.signal])
    let timer = setTimeout(() => silence.abort(), SILENCE)
    try {
      const stream = await this.#open('?follow=true', either)
      for await (const line of readLines(stream, trustMessageBytes)) {
        clearTimeout(timer)
        timer = setTimeout(() => silence.abort(), SILENCE)
        await this.#take(messageOf(line), signal)
      }
    } finally {
      clearTimeout(timer)
    }
    throw new DoorwardError('trust_stream_ended', 'the trust-state stream ended', { where: this.#options.authorityUrl })
  }

  async #open(query: string, signal: AbortSignal | undefined): Promise<AsyncIterable<Uint8Array>> {
    const { fetch, authorityUrl, authorityId, scope } = this.#options
    const path = scope === 'full' ? '/v1/trust-state/full' : '/v1/trust-state'
    const response = await fetch.call(new URL(`${path}${query}`, authorityUrl), {
      audience: authorityUrl,
      expectedId: authorityId,
      headers: { accept: 'application/x-ndjson' },
      ...(signal === undefined ? {} : { signal }),
    })
    if (response.status !== 200) throw refusalError(await readRefusal(response), authorityUrl)
    return response.body as AsyncIterable<Uint8Array>
  }

  /** `following` is null for a single state, which is not acknowledged: its process is gone in a moment. */
  async #take(message: TrustMessage, following: AbortSignal | null): Promise<void> {
    const { store, authorityUrl } = this.#options
    if (message.kind === 'heartbeat') {
      const result = store.beat(message)
      if (typeof result === 'object') this.#options.onProblem(statementError(result, authorityUrl))
      return
    }
    const result = await store.accept(message)
    if ('code' in result) throw statementError(result, authorityUrl)
    if (following !== null) void this.#acknowledge(result.version, following)
  }

  /** Failure costs nothing but a straggler in the authority's list: the next state is acknowledged anew. */
  async #acknowledge(
    { delegation, sequence }: { delegation: number; sequence: number },
    signal: AbortSignal,
  ): Promise<void> {
    const { fetch, authorityUrl, authorityId, scope } = this.#options
    try {
      const response = await fetch.call(new URL('/v1/trust-state/ack', authorityUrl), {
        method: 'POST',
        audience: authorityUrl,
        expectedId: authorityId,
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ scope, delegation, sequence }),
        signal: withinAnswerTime(signal),
      })
      if (response.status >= 300) throw refusalError(await readRefusal(response), authorityUrl)
      response.body.resume()
    } catch (error) {
      if (!signal.aborted) this.#options.onProblem(error)
    }
  }
}

function messageOf(line: string): TrustMessage {
  const message = parseTrustMessage(line)
  if ('code' in message) throw statementError(message, 'trust-state stream')
  return message
}
