/** The modern era at servers behind standard input and output: processes for each caller, and none for two. */

import { DISCOVER_REQUEST } from '@doorward/core'
import type { Principal, RequestId } from '@doorward/core'
import type { Permit, McpCall } from '@doorward/enforcement'
import type { OpenChannel } from './duplex-session.ts'
import { answerIn, ModernProcess } from './modern-stdio-process.ts'
import type { ModernProcessOptions } from './modern-stdio-process.ts'
import type { ProcessStarts, Start } from './process-starts.ts'
import { isOfCredential } from './server-credential.ts'
import { ServerVersions } from './server-versions.ts'
import type { DiscoveryAnswer, ServerVersionsParts } from './server-versions.ts'
import type { ModernUpstream, Reply, UpstreamLimits } from './upstream.ts'

export interface ModernStdioParts extends ModernProcessOptions {
  readonly name: string
  readonly limits: UpstreamLimits
  readonly starts: ProcessStarts
  readonly open: OpenChannel
  readonly recordAct: ServerVersionsParts['recordAct']
}

/** A server that has said nothing to `server/discover` is of the legacy era. */
const SILENCE = 10_000
/** A process that has lived so long has not crashed on its way up. */
const LIVES_AFTER = 10_000
/** What we ask for ourselves. */
const NOBODY = ''

interface Owner {
  readonly name: string
  readonly principal: Principal
}

export class ModernStdio implements ModernUpstream {
  readonly versions: ServerVersions
  readonly #parts: ModernStdioParts
  readonly #processes = new Map<string, Set<ModernProcess>>()

  constructor(parts: ModernStdioParts) {
    const { name, recordAct, monotonic } = parts
    this.#parts = parts
    this.versions = new ServerVersions({ server: name, ask: () => this.#discover(), recordAct, monotonic })
  }

  forward(permit: Permit<McpCall>, reply: Reply): void {
    this.versions.forward(permit, reply, () => this.#send(permit, reply))
  }

  /** Ends processes of which nothing has been asked since `before`. */
  endIdle(before: number): void {
    for (const one of this.#all()) one.endIfIdle(before)
  }

  async close(): Promise<void> {
    const all = this.#all()
    for (const one of all) one.end()
    await Promise.all(all.map((one) => one.gone))
  }

  #all(): readonly ModernProcess[] {
    return [...this.#processes.values()].flatMap((own) => [...own])
  }

  #send(permit: Permit<McpCall>, reply: Reply): void {
    const { call, identified } = permit.admitted.authorized.classified
    const { scope, message } = call.detail
    if (message.kind !== 'request') return reply.fail('internal', 'only requests are of the modern era')
    const owner = { name: scope.owner, principal: identified.principal }
    const found = this.#processFor(owner, message.id, message.progressToken)
    if ('refused' in found) return reply.fail(found.refused, 'no process may be started now', found.retryAfterSeconds)
    found.forward(permit, reply)
  }

  #processFor(
    { name: owner, principal }: Owner,
    id: RequestId,
    token: RequestId | undefined,
  ): ModernProcess | Extract<Start, { refused: string }> {
    const own = this.#processes.get(owner) ?? new Set()
    for (const one of own) if (one.takes(id, token)) return one
    const { starts, open } = this.#parts
    const start = starts.start(owner)
    if ('refused' in start) return start
    const opened = new ModernProcess(this.#parts, (events) => open(events, principal))
    own.add(opened)
    this.#processes.set(owner, own)
    const lives = setTimeout(start.lives, LIVES_AFTER).unref()
    void opened.gone.then(() => {
      clearTimeout(lives)
      start.ended(opened.crashed ? 'crashed' : 'asked')
      own.delete(opened)
      if (own.size === 0 && this.#processes.get(owner) === own) this.#processes.delete(owner)
    })
    return opened
  }

  /** Asks a process of its own, which ends with the answer. Rejects where there is none that could say anything. */
  #discover(): Promise<DiscoveryAnswer> {
    const { starts, open, messageBytes, limits } = this.#parts
    const start = starts.startUncounted(NOBODY)
    if ('refused' in start) return Promise.reject(new Error('no process may be started now'))
    return new Promise((resolve, reject) => {
      const silence = setTimeout(() => settle(null), Math.min(SILENCE, limits.responseMilliseconds)).unref()
      let answered = false
      let crashed = false
      const channel = open(
        {
          onMessage: (line) => {
            if (answerIn(line, messageBytes) !== null) settle(line)
          },
          onRefused: () => undefined,
          onUsed: (_id, use) => this.#parts.onOwnUse(use, null),
          onExit: (code, reason) => {
            crashed = !answered && !isOfCredential(code)
            clearTimeout(silence)
            reject(new Error(reason))
          },
        },
        null,
      )
      const settle = (message: Uint8Array | null): void => {
        answered = true
        clearTimeout(silence)
        resolve({ status: 200, message })
        channel.stop()
      }
      void channel.gone.then(() => start.ended(crashed ? 'crashed' : 'asked'))
      channel.write(DISCOVER_REQUEST, null)
    })
  }
}
