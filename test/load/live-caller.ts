/** One client that keeps its connection and its session, and makes one call after the other while others make load. */

import { setTimeout as sleep } from 'node:timers/promises'
import type { TLSSocket } from 'node:tls'
import { dial, parseAnswer, talk } from '../fixtures/raw-http.ts'
import { messageOf, whole } from '../refusals/stage.ts'
import type { Caller, Stage } from '../refusals/stage.ts'

const CALL_MILLISECONDS = 30_000
let nonces = 0

export class LiveCaller {
  readonly #stage: Stage
  readonly #caller: Caller
  #on: TLSSocket | null = null
  /** Milliseconds of each call, in their order. */
  readonly latencies: number[] = []
  readonly problems: string[] = []
  readonly deniedMarks: string[] = []
  allowed = 0

  private constructor(stage: Stage, caller: Caller) {
    this.#stage = stage
    this.#caller = caller
  }

  static async open(stage: Stage, caller: Caller): Promise<LiveCaller> {
    const session = await stage.initialize(caller)
    return new LiveCaller(stage, { ...caller, session })
  }

  /** An allowed call; its answer must be its own. */
  async call(id: number): Promise<void> {
    const nonce = `nonce-${++nonces}-`
    const params = { name: 'read_note', arguments: { nonce } }
    const body = JSON.stringify({ jsonrpc: '2.0', id, method: 'tools/call', params })
    const begun = performance.now()
    const answer = await this.#send(() => body)
    this.latencies.push(performance.now() - begun)
    if (answer?.headers['doorward-code'] === 'allowed') this.allowed++
    if (answer === null || answer.status !== 200)
      this.problems.push(`a call was answered with ${answer?.status ?? 'nothing'}: ${answer?.text ?? ''}`)
    else if (!answer.body.includes(`"nonce":"${nonce}"`) || !answer.body.includes(`"id":${id},`))
      this.problems.push(`an answer was another's: ${answer.body}`)
  }

  /** A call that policy denies. */
  async denied(): Promise<void> {
    const mark = `denied-${++nonces}-`
    this.deniedMarks.push(mark)
    const answer = await this.#send(messageOf('tools/call', { name: 'drop_notes', arguments: { mark } }))
    const code = answer?.headers['doorward-code']
    if (code !== 'policy_denied') this.problems.push(`a call that is not allowed was answered with ${code}`)
  }

  /** Calls, some of them denied, until told to end. */
  async callWhile(goOn: () => boolean, pauseMilliseconds = 0): Promise<void> {
    for (let id = 1; goOn() && this.problems.length === 0; id++) {
      await this.call(id)
      if (id % 50 === 1) await this.denied()
      if (pauseMilliseconds > 0) await sleep(pauseMilliseconds)
    }
  }

  close(): void {
    this.#on?.destroy()
  }

  async #send(body: (mark: string) => string) {
    const text = await this.#stage.text({ caller: this.#caller, body })
    // Not before it is needed: a connection without a first request is closed after five seconds.
    this.#on ??= await dial(this.#caller.tls)
    const answer = talk(this.#on, text, whole)
    const late = new AbortController()
    const told = await Promise.race([answer, sleep(CALL_MILLISECONDS, '', { signal: late.signal }).catch(() => '')])
    late.abort()
    const parsed = parseAnswer(told)
    return parsed.status === 0 ? null : parsed
  }
}

/** The value below which that share of them lies; 0 without any. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0
}
