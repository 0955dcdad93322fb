/**
 * Kept connections: one agent per server, expected identity and generation of our SVID.
 *
 * A new SVID makes new agents; the old ones close what is idle, let requests in flight finish, and never outlive the
 * old certificate. A new trust state re-judges every live connection and closes those that no longer hold.
 */

import { Agent } from 'node:https'
import { PassThrough } from 'node:stream'
import type { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import { toMillis } from '@doorward/core'
import type { Clock, PeerCertificate, SpiffeId } from '@doorward/core'
import { connectionError } from './connection-error.ts'
import { connectMutualTls } from './mutual-tls.ts'
import type { ServerProblem } from './server-identity.ts'
import type { Svid } from './svid.ts'

export interface Target {
  readonly host: string
  readonly port: number
  readonly expected: SpiffeId
}

export interface PoolTrust {
  /** DER anchors that the target may chain to now; none refuses every connection. */
  readonly anchors: (target: Target) => readonly Uint8Array[]
  readonly judge: (
    server: PeerCertificate,
    target: Target,
    moment: 'connecting' | 'connected',
  ) => Promise<ServerProblem | null>
}

interface Live {
  readonly socket: TLSSocket
  readonly server: PeerCertificate
  readonly target: Target
}

interface Entry {
  readonly agent: Agent
  readonly svid: Svid
}

const MAX_SOCKETS = 256
const MAX_IDLE = 8
const MAX_TIMER = 2 ** 31 - 1

export class ConnectionPool {
  readonly #trust: PoolTrust
  readonly #clock: Clock
  readonly #entries = new Map<string, Entry>()
  readonly #live = new Set<Live>()

  constructor(trust: PoolTrust, clock: Clock) {
    this.#trust = trust
    this.#clock = clock
  }

  /** The agent whose connections carry this SVID to this target. */
  agent(target: Target, svid: Svid): Agent {
    const key = `${target.host}:${target.port} ${target.expected.uri}`
    const entry = this.#entries.get(key)
    if (entry?.svid.fingerprint === svid.fingerprint) return entry.agent
    // A request that took its SVID just before a renewal still gets a connection, but not a pool of its own.
    if (entry !== undefined && entry.svid.certificate.notBefore > svid.certificate.notBefore)
      return this.#newAgent(target, svid, 0)
    if (entry !== undefined) retire(entry.agent)
    const agent = this.#newAgent(target, svid, MAX_IDLE)
    this.#entries.set(key, { agent, svid })
    return agent
  }

  /** Re-judges every live connection; called after a trust state was applied. */
  async recheck(): Promise<void> {
    await Promise.all(
      [...this.#live].map(async ({ socket, server, target }) => {
        const problem = await this.#trust.judge(server, target, 'connected')
        if (problem !== null) socket.destroy(new Error(`${problem.code}: ${problem.message}`))
      }),
    )
  }

  /** Closes every connection at once. */
  close(): void {
    for (const { agent } of this.#entries.values()) agent.destroy()
    this.#entries.clear()
    for (const { socket } of this.#live) socket.destroy()
  }

  #newAgent(target: Target, svid: Svid, maxFreeSockets: number): Agent {
    const agent = new Agent({ keepAlive: true, maxCachedSessions: 0, maxSockets: MAX_SOCKETS, maxFreeSockets })
    // Asynchronous on purpose: the request is given the socket only after the server has been judged.
    agent.createConnection = (_options, callback) => {
      void this.#hand(target, svid, callback)
      return undefined
    }
    return agent
  }

  async #hand(
    target: Target,
    svid: Svid,
    give: ((error: Error | null, stream: Duplex) => void) | undefined,
  ): Promise<void> {
    const outcome = await this.#connect(target, svid).catch((error: unknown) =>
      connectionError(error, `${target.host}:${target.port}`),
    )
    // The types ask for a stream beside the error; the agent looks at the error first.
    if (outcome instanceof Error) give?.(outcome, new PassThrough())
    else give?.(null, outcome)
  }

  async #connect(target: Target, svid: Svid): Promise<TLSSocket> {
    const { socket, server } = await connectMutualTls({
      host: target.host,
      port: target.port,
      svid,
      anchors: this.#trust.anchors(target),
      judge: (certificate) => this.#trust.judge(certificate, target, 'connecting'),
    })
    this.#watch({ socket, server, target }, svid)
    return socket
  }

  /** No connection outlives the earlier of the two certificates. */
  #watch(live: Live, svid: Svid): void {
    const ends = toMillis(Math.min(svid.certificate.notAfter, live.server.notAfter) as typeof svid.certificate.notAfter)
    const timer = setTimeout(() => live.socket.destroy(), Math.min(MAX_TIMER, Math.max(0, ends - this.#clock())))
    timer.unref()
    this.#live.add(live)
    // Between a response and its return to the agent a socket has no listener of its own; a call aborted then must not end the process.
    live.socket.on('error', () => undefined)
    live.socket.once('close', () => {
      clearTimeout(timer)
      this.#live.delete(live)
    })
  }
}

/** Requests in flight keep their sockets; whatever becomes idle closes. */
function retire(agent: Agent): void {
  agent.maxFreeSockets = 0
  for (const sockets of Object.values(agent.freeSockets)) for (const socket of sockets ?? []) socket.destroy()
}
