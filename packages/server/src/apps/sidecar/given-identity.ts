/** The sidecar's own identity for programs beside it that speak SPIFFE: by the rules of the Workload API, refusals on record. */

import type { SpiffeId } from '@doorward/core'
import type { ConnectedIdentity, OpenRecord } from '@doorward/sdk'
import { systemRuntime } from '@doorward/sdk'
import type { WorkloadApiSettings } from '../../config/sidecar-file.ts'
import type { RefusalWatch } from '../credential-standing.ts'
import { HeldIdentities } from '../workload-api/held-identities.ts'
import type { PeerSource } from '../workload-api/peer-credentials.ts'
import { quietRefusals } from '../workload-api/refusals.ts'
import { serveWorkloads } from '../workload-api/serve-workloads.ts'
import type { SidecarEvent } from './events.ts'

export interface GivenIdentityParts {
  readonly settings: WorkloadApiSettings
  readonly identity: ConnectedIdentity
  /** Has heard what the authority says of the identity. */
  readonly watch: RefusalWatch
  readonly record: OpenRecord
  readonly peers: PeerSource
  readonly report: (event: SidecarEvent) => void
  readonly onProblem: (error: unknown) => void
}

/** Serves until it is closed. Throws the codes of `listenForAll`. */
export async function giveIdentity({
  settings: { socket, entries },
  identity: { id, identity },
  watch,
  record,
  peers,
  report,
  onProblem,
}: GivenIdentityParts): Promise<{ close(): Promise<void> }> {
  const name = nameOf(id)
  const runtime = systemRuntime
  const identities = HeldIdentities.ofKept({ name, identity, watch }, { runtime, onProblem })
  const refusals = quietRefusals((event) => {
    if (event.type === 'refused') report({ ...event, type: 'identity_refused' })
    else onProblem(event.error)
  })
  const over = new AbortController()
  const watching = identities.watch(over.signal)
  const end = async () => {
    over.abort()
    await watching
    refusals.close()
  }
  try {
    const serving = await serveWorkloads({
      socket,
      entries: entries.map((entry) => ({ ...entry, identity: name })),
      identities,
      peers,
      report: (event) => {
        if (event.type === 'served') return report({ ...event, type: 'identity_given' })
        record.refusals.count({ source: `local uid ${event.uid}`, reason: 'identity_refused' })
        refusals.add(event)
      },
      onProblem,
      signal: over.signal,
    })
    return {
      close: async () => {
        over.abort()
        await serving.close()
        await end()
      },
    }
  } catch (error) {
    await end()
    throw error
  }
}

function nameOf({ segments }: SpiffeId): string {
  return segments.join('/')
}
