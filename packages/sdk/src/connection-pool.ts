/**
 * Kept connections: one agent per server, expected identity and generation of our SVID.
 *
 * A new SVID makes new agents; the old ones close what is idle, let requests in flight finish, and never outlive the
 * old certificate. The server's certificate is renewed without our hearing of it, so a connection takes no new request
 * when either certificate is about to end. A new trust state re-judges every live connection and closes those that no
 * longer hold.
 */

import { Agent } from 'node:https'
import { PassThrough } from 'node:stream'
import type { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import { connectionLife } from '@doorward/core'
import type { Clock, PeerCertificate, SpiffeId } from '@doorward/core'
import { ClientContexts } from './client-context.ts'
import { connectionError } from './connection-error.ts'
import { connectMutualTls } from './mutual-tls.ts'
import { DialTurns } from './dial-turns.ts'
import { redialled } from './redial.ts'
import { systemRuntime } from './runtime.ts'
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
  /** Whether the server has a newer certificate, because this one is recalled. Never by default. */
  readonly isOutdated?: (server: PeerCertificate, target: Target) => boolean
}

interface Live {
  readonly socket: TLSSocket
  readonly server: PeerCertificate
  readonly target: Target
  /** Takes no more requests; closes when it has none. */
  readonly drain: () => void
}

interface Entry {
  readonly agent: Agent
  readonly svid: Svid
}

/** A connection that an agent has asked for. */
interface Order extends Entry {
  readonly target: Target
}

const MAX_SOCKETS = 256
/** As many calls as are often under way at once: a connection that is closed after its call costs the next one a handshake. */
const MAX_IDLE = 64
const MAX_TIMER = 2 ** 31 - 1
/** A server uses its new certificate a moment after others hear of it. */
const OUTDATED = 500

export class ConnectionPool {
  readonly #trust: PoolTrust
  readonly #clock: Clock
  readonly #entries = new Map<string, Entry>()
  readonly #live = new Set<Live>()
  readonly #draining = new WeakSet<Duplex>()
  readonly #contexts = new ClientContexts()
  readonly #closed = new AbortController()

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

  /** Re-judges every live connection, and leaves those whose server has a newer certificate; called after a trust state was applied. */
  async recheck(): Promise<void> {
    await Promise.all(
      [...this.#live].map(async ({ socket, server, target }) => {
        const problem = await this.#trust.judge(server, target, 'connected')
        if (problem !== null) socket.destroy(new Error(`${problem.code}: ${problem.message}`))
      }),
    )
    for (const live of this.#live) this.#leaveIfOutdated(live)
  }

  /** Closes every connection at once, and begins none of those that are waited for. */
  close(): void {
    this.#closed.abort()
    for (const { agent } of this.#entries.values()) agent.destroy()
    this.#entries.clear()
    this.#contexts.clear()
    for (const { socket } of this.#live) socket.destroy()
  }

  #newAgent(target: Target, svid: Svid, maxFreeSockets: number): Agent {
    const agent = new Agent({ keepAlive: true, maxCachedSessions: 0, maxSockets: MAX_SOCKETS, maxFreeSockets })
    const keep = agent.keepSocketAlive.bind(agent)
    // A socket that is not to be kept is destroyed by the agent.
    agent.keepSocketAlive = (socket) => (this.#draining.has(socket) ? undefined : keep(socket))
    const turns = new DialTurns(agent)
    // Asynchronous on purpose: the request is given the socket only after the server has been judged.
    agent.createConnection = (_options, callback) => {
      turns.begins()
      void this.#hand({ agent, target, svid }, callback).then((problem) => turns.ended(problem))
      return undefined
    }
    return agent
  }

  async #hand(order: Order, give: ((error: Error | null, stream: Duplex) => void) | undefined): Promise<Error | null> {
    const { host, port } = order.target
    const outcome = await this.#connect(order).catch((error: unknown) => connectionError(error, `${host}:${port}`))
    // The types ask for a stream beside the error; the agent looks at the error first.
    if (outcome instanceof Error) give?.(outcome, new PassThrough())
    else give?.(null, outcome)
    return outcome instanceof Error ? outcome : null
  }

  async #connect({ agent, target, svid }: Order): Promise<TLSSocket> {
    const dial = () =>
      connectMutualTls({
        host: target.host,
        port: target.port,
        svid,
        anchors: this.#trust.anchors(target),
        contexts: this.#contexts,
        judge: (certificate) => this.#trust.judge(certificate, target, 'connecting'),
      })
    const { socket, server } = await redialled(dial, systemRuntime, this.#closed.signal)
    const drain = () => {
      this.#draining.add(socket)
      if (isIdle(agent, socket)) socket.destroy()
    }
    this.#watch({ socket, server, target, drain }, svid)
    return socket
  }

  /** No call is lost by it: what is under way ends on the old connection, what begins then takes a new one. */
  #leaveIfOutdated({ server, target, drain }: Live): void {
    if (this.#trust.isOutdated?.(server, target) === true) setTimeout(drain, OUTDATED).unref()
  }

  /** No connection outlives the earlier of the two certificates; before that it finishes what it has and takes no more. */
  #watch(live: Live, svid: Svid): void {
    const { drain } = live
    const now = this.#clock()
    const life = connectionLife([svid.certificate.notAfter, live.server.notAfter], now)
    const after = (moment: number, act: () => void) =>
      setTimeout(act, Math.min(MAX_TIMER, Math.max(0, moment - now))).unref()
    const timers = life === null ? [] : [after(life.drainsAt, drain), after(life.endsAt, () => live.socket.destroy())]
    this.#live.add(live)
    this.#leaveIfOutdated(live)
    // Between a response and its return to the agent a socket has no listener of its own; a call aborted then must not end the process.
    live.socket.on('error', () => undefined)
    live.socket.once('close', () => {
      for (const timer of timers) clearTimeout(timer)
      this.#live.delete(live)
    })
  }
}

function isIdle(agent: Agent, socket: TLSSocket): boolean {
  return Object.values(agent.freeSockets).some((sockets) => sockets?.includes(socket) === true)
}

/** Requests in flight keep their sockets; whatever becomes idle closes. */
function retire(agent: Agent): void {
  agent.maxFreeSockets = 0
  for (const sockets of Object.values(agent.freeSockets)) for (const socket of sockets ?? []) socket.destroy()
}
