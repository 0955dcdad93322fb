/** The socket of the Workload API: who connects is named by the kernel, bounded, and served what the configuration gives it. */

import type { Socket } from 'node:net'
import { systemRuntime } from '@doorward/sdk'
import type { WorkloadEntry } from '../../config/workload-api-schema.ts'
import { serveGrpc } from '../../transports/grpc/grpc.ts'
import { listenForAll } from '../../transports/workload-api/open-socket.ts'
import type { HeldIdentities } from './held-identities.ts'
import { JwtSvids } from './jwt-svids.ts'
import type { PeerCredentials, PeerSource } from './peer-credentials.ts'
import { Peer } from './peer-facts.ts'
import { WorkloadCalls } from './workload-calls.ts'
import type { RefusedEvent, ServedEvent } from './workload-calls.ts'

export interface WorkloadServing {
  readonly socket: string
  readonly entries: readonly WorkloadEntry[]
  readonly identities: HeldIdentities
  readonly peers: PeerSource
  readonly report: (event: ServedEvent | RefusedEvent) => void
  readonly onProblem: (error: unknown) => void
  /** Ends the streams. */
  readonly signal: AbortSignal
}

const MAX_CONNECTIONS = 512
/** One user's programs leave room for the others'. */
const MAX_CONNECTIONS_OF_USER = 128

/** Serves until it is closed, which follows the signal. Throws the codes of `listenForAll`. */
export async function serveWorkloads({
  socket: path,
  entries,
  identities,
  peers,
  report,
  onProblem,
  signal,
}: WorkloadServing): Promise<{ readonly path: string; close(): Promise<void> }> {
  const runtime = systemRuntime
  const jwtSvids = new JwtSvids(runtime)
  const service = new WorkloadCalls({ entries, identities, jwtSvids, runtime, report, onProblem })
  const connections = new Connections({ service, peers, signal, onProblem })
  const listening = await listenForAll({
    path,
    connections: MAX_CONNECTIONS,
    accept: (socket) => connections.accept(socket),
    onProblem,
  })
  return {
    path: listening.path,
    close: async () => {
      // First: a listener is closed when nobody is connected any more.
      await connections.close()
      await listening.close()
    },
  }
}

interface ConnectionsParts {
  readonly service: WorkloadCalls
  readonly peers: PeerSource
  readonly signal: AbortSignal
  readonly onProblem: (error: unknown) => void
}

class Connections {
  readonly #parts: ConnectionsParts
  readonly #open = new Map<Socket, number>()

  constructor(parts: ConnectionsParts) {
    this.#parts = parts
  }

  /** A peer that the kernel does not name, or one too many of a user, is cut off before a byte is read. */
  accept(socket: Socket): void {
    const { service, signal } = this.#parts
    socket.on('error', () => socket.destroy())
    const credentials = signal.aborted ? null : this.#peerOf(socket)
    if (credentials === null) return void socket.destroy()
    const peer = new Peer(credentials)
    const ofUser = [...this.#open.values()].filter((uid) => uid === credentials.uid).length
    this.#open.set(socket, credentials.uid)
    socket.once('close', () => {
      this.#open.delete(socket)
      peer.close()
    })
    if (ofUser >= MAX_CONNECTIONS_OF_USER) return void socket.destroy()
    serveGrpc(socket, service.forPeer(peer), signal)
  }

  #peerOf(socket: Socket): PeerCredentials | null {
    try {
      return this.#parts.peers.of(socket)
    } catch (error) {
      this.#parts.onProblem(error)
      return null
    }
  }

  /** Streams have ended with the signal; what they said last is sent. */
  async close(): Promise<void> {
    await systemRuntime.sleep(this.#open.size === 0 ? 0 : LAST_WORDS_MILLISECONDS)
    for (const socket of this.#open.keys()) socket.destroy()
  }
}

const LAST_WORDS_MILLISECONDS = 200
