/** `agent run --socket`: identities of this machine, given to its programs over the SPIFFE Workload API. */

import { DoorwardError } from '@doorward/core'
import { systemRuntime } from '@doorward/sdk'
import { openLocalIdentity } from '../local-identities.ts'
import type { ClientPlace } from '../local-identities.ts'
import { HeldIdentities } from './held-identities.ts'
import { systemPeers } from './peer-credentials.ts'
import type { PeerSource } from './peer-credentials.ts'
import { quietRefusals } from './refusals.ts'
import type { ProblemTimes, RefusedTimes } from './refusals.ts'
import { serveWorkloads } from './serve-workloads.ts'
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

const LONGEST_TIMER = 2 ** 31 - 1

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
  const over = new AbortController()
  const running = identities.run(AbortSignal.any([signal, over.signal]))
  stack.defer(() => running)
  stack.defer(() => over.abort())
  const listening = await serveWorkloads({
    socket: options.socket,
    entries,
    identities,
    peers,
    report: (event) => (event.type === 'refused' ? refusals.add(event) : report(event)),
    onProblem,
    signal,
  })
  stack.defer(() => listening.close())
  report({ type: 'listening', path: listening.path, identities: [...new Set(entries.map(({ identity }) => identity))] })
  // No timer lasts longer than 24 days.
  while (!signal.aborted) await systemRuntime.sleep(LONGEST_TIMER, signal)
}
