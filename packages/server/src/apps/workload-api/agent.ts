/** `agent run --socket`: identities of this machine, given to its programs over the SPIFFE Workload API. */

import type { Socket } from 'node:net'
import { DoorwardError } from '@doorward/core'
import { systemRuntime } from '@doorward/sdk'
import { listenForAll } from '../../transports/workload-api/open-socket.ts'
import { serveGrpc } from '../../transports/grpc/grpc.ts'
import { openLocalIdentity } from '../local-identities.ts'
import type { ClientPlace } from '../local-identities.ts'
import { HeldIdentities } from './held-identities.ts'
import { JwtSvids } from './jwt-svids.ts'
import { systemPeers } from './peer-credentials.ts'
import type { PeerCredentials, PeerSource } from './peer-credentials.ts'
import { Peer } from './peer-facts.ts'
import { quietRefusals } from './refusals.ts'
import type { ProblemTimes, RefusedTimes } from './refusals.ts'
import { WorkloadCalls } from './workload-calls.ts'
import type { ServedEvent } from './workload-calls.ts'

export type WorkloadAgentEvent =
  | { readonly type: 'listening'; readonly path: string; readonly identities: readonly string[] }
  | ServedEvent
  | RefusedTimes
  | ProblemTimes

export interface WorkloadAgentOptions extends ClientPlace {
  readonly socket: string
  readonly report: (event: WorkloadAgentEvent) => void
  readonly signal: AbortSignal
  /** The kernel, by default. */
  readonly peers?: PeerSource
}

const MAX_CONNECTIONS = 512
const LONGEST_TIMER = 2 ** 31 - 1
/** One user's programs leave room for the others'. */
const MAX_CONNECTIONS_OF_USER = 128

/**
 * Serves until the signal aborts. Throws `peer_credentials_missing`, `workload_api_empty`, the codes of `listenForAll` and
 * `openLocalIdentity`; what fails later is told and tried again.
 */
export async function runWorkloadAgent(options: WorkloadAgentOptions): Promise<void> {
  const { report, signal } = options
  const { entries } = options.deployment.configuration.workload_api
  if (entries.length === 0)
    throw new DoorwardError('workload_api_empty', 'no program is given any identity', {
      where: 'workload_api.entries',
      expected: 'an entry for each program: its identity, and by what it is known',
    })
  const peers = options.peers ?? (await systemPeers())
  await using stack = new AsyncDisposableStack()
  const refusals = quietRefusals(report)
  stack.defer(() => refusals.close())
  const onProblem = (error: unknown) => refusals.add({ type: 'problem', error })
  const identities = await HeldIdentities.open({
    names: [...new Set(entries.map(({ identity }) => identity))],
    open: (name, told) => openLocalIdentity(options, name, told),
    runtime: systemRuntime,
    onProblem,
  })
  stack.defer(() => identities.close())
  const service = new WorkloadCalls({
    entries,
    identities,
    jwtSvids: new JwtSvids(systemRuntime),
    runtime: systemRuntime,
    report: (event) => (event.type === 'refused' ? refusals.add(event) : report(event)),
    onProblem,
  })
  const over = new AbortController()
  const running = identities.run(AbortSignal.any([signal, over.signal]))
  stack.defer(() => running)
  stack.defer(() => over.abort())
  const connections = new Connections({ service, peers, signal, onProblem })
  const listening = await listenForAll({
    path: options.socket,
    connections: MAX_CONNECTIONS,
    accept: (socket) => connections.accept(socket),
    onProblem,
  })
  stack.defer(() => listening.close())
  // First: a listener is closed when nobody is connected any more.
  stack.defer(() => connections.close())
  report({ type: 'listening', path: listening.path, identities: [...new Set(entries.map(({ identity }) => identity))] })
  // No timer lasts longer than 24 days.
  while (!signal.aborted) await systemRuntime.sleep(LONGEST_TIMER, signal)
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
