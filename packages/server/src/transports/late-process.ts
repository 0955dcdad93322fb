/** A process whose environment has to be put together first: what is sent to it meanwhile waits. */

import type { JsonObject, Principal, RequestId } from '@doorward/core'
import type { Channel, ChannelEvents } from './duplex-session.ts'
import { StdioProcess } from './stdio.ts'
import type { StdioCommand } from './stdio.ts'
import type { UpstreamFailure } from './server-credential.ts'

/** Variables of a process that hold secrets. */
export interface SecretVariables {
  readonly variables: Readonly<Record<string, string>>
  /** For the record, by variable: names and versions. */
  readonly uses: readonly JsonObject[]
}

/** What processes for a caller are given beside what the configuration says; null for a process of the gateway's own. */
export type VariablesFor = (principal: Principal | null) => Promise<SecretVariables | UpstreamFailure>

export interface LateProcessParts {
  readonly command: StdioCommand
  readonly variablesFor: VariablesFor
  readonly principal: Principal | null
  /** Of one message. */
  readonly lineBytes: number
  readonly onLog: (text: string) => void
}

const WAITING_MESSAGES = 64
const WAITING_BYTES = 4 * 1024 * 1024

export class LateProcess implements Channel {
  readonly #parts: LateProcessParts
  readonly #events: ChannelEvents
  readonly #gone: PromiseWithResolvers<void> = Promise.withResolvers()
  #process: StdioProcess | null = null
  #waiting: Uint8Array[] = []
  #waitingBytes = 0
  #paused = false
  #stopped = false

  constructor(parts: LateProcessParts, events: ChannelEvents) {
    this.#parts = parts
    this.#events = events
    parts.variablesFor(parts.principal).then(
      (found) => this.#begin(found),
      (error: unknown) => this.#begin({ code: 'internal', explanation: String(error) }),
    )
  }

  get gone(): Promise<void> {
    return this.#gone.promise
  }

  write(message: Uint8Array, _id: RequestId | null): boolean {
    if (this.#process !== null) return this.#process.write(message)
    if (this.#stopped || this.#waiting.length >= WAITING_MESSAGES) return false
    this.#waitingBytes += message.length
    if (this.#waitingBytes > WAITING_BYTES) return false
    this.#waiting.push(message)
    return true
  }

  pause(): void {
    this.#paused = true
    this.#process?.pause()
  }

  resume(): void {
    this.#paused = false
    this.#process?.resume()
  }

  stop(): void {
    this.#stopped = true
    if (this.#process === null) this.#gone.resolve()
    else this.#process.stop()
  }

  #begin(found: SecretVariables | UpstreamFailure): void {
    const { command, lineBytes, onLog } = this.#parts
    if (this.#stopped) return
    if ('code' in found) {
      this.#stopped = true
      this.#events.onExit(found.code, found.explanation)
      return this.#gone.resolve()
    }
    for (const use of found.uses) this.#events.onUsed(null, use)
    const { onMessage, onExit } = this.#events
    const env = { ...command.env, ...found.variables }
    const opened = new StdioProcess({ ...command, env }, lineBytes, {
      onLine: onMessage,
      onLog,
      onExit: (reason) => onExit('upstream_unavailable', reason),
    })
    this.#process = opened
    void opened.gone.then(() => this.#gone.resolve())
    if (this.#paused) opened.pause()
    for (const message of this.#waiting) opened.write(message)
    this.#waiting = []
  }
}
