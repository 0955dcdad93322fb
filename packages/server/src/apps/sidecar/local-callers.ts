/** Which programs of this machine may borrow a sidecar's identity: those that configuration lists, as the kernel knows them. */

import type { Socket } from 'node:net'
import type { CallersSettings } from '../../config/sidecar-file.ts'
import type { Selectors } from '../../config/workload-api-schema.ts'
import type { PeerSource } from '../workload-api/peer-credentials.ts'
import { Peer } from '../workload-api/peer-facts.ts'
import { failingSelector } from '../workload-api/selectors.ts'
import { clientOwner } from './tcp-owners.ts'

export interface LocalCaller {
  /** As it is told: `uid 1000, pid 77 /usr/bin/planner`. */
  readonly name: string
  /** Under which its refusals are counted. */
  readonly source: string
  /** Null while it may call, else why not. Asked for every request. */
  problem(): Promise<string | null>
  /** With the connection. */
  close(): void
}

export type JudgeCaller = (socket: Socket) => Promise<LocalCaller>

const nobody = (source: string, why: string): LocalCaller => ({
  name: source,
  source,
  problem: async () => why,
  close: () => undefined,
})

export interface CallerRules {
  readonly callers: CallersSettings
  readonly ownUid: number
  readonly peers: PeerSource | null
  /** Null for a Unix socket. */
  readonly port: number | null
}

/** Judges by what the kernel says of the connection, before a byte of it is read. */
export function callerJudge({ callers, ownUid, peers, port }: CallerRules): JudgeCaller {
  const entries = entriesOf(callers, ownUid)
  if (entries === null) {
    const anybody: LocalCaller = { ...nobody('local', ''), problem: async () => null }
    return async () => anybody
  }
  return port === null ? async (socket) => ofProcess(socket, peers, entries) : (socket) => ofUser(socket, port, entries)
}

/** Null: everybody. */
function entriesOf(callers: CallersSettings, uid: number): readonly Selectors[] | null {
  if (callers.kind === 'anybody') return null
  return callers.kind === 'listed' ? callers.entries : [{ uid }]
}

function ofProcess(socket: Socket, peers: PeerSource | null, entries: readonly Selectors[]): LocalCaller {
  const credentials = peers?.of(socket) ?? null
  if (credentials === null) return nobody('local unknown', 'the kernel does not say who this is')
  const peer = new Peer(credentials)
  const byGroup = entries.some(({ systemd_unit: unit, cgroup }) => unit !== undefined || cgroup !== undefined)
  const { uid, pid } = credentials
  return {
    name: `uid ${uid}, pid ${pid}`,
    source: `local uid ${uid}`,
    problem: async () => {
      const facts = await peer.facts({ names: byGroup })
      if (typeof facts === 'string') return facts
      for (const entry of entries) if ((await failingSelector(entry, facts)) === null) return null
      return `no caller is listed that ${peer.program() ?? 'a program'} of uid ${uid} could be`
    },
    close: () => peer.close(),
  }
}

async function ofUser(socket: Socket, port: number, entries: readonly Selectors[]): Promise<LocalCaller> {
  const { remoteAddress: address, remotePort } = socket
  const known = address === undefined || remotePort === undefined ? null : { address, port: remotePort }
  const uid = known === null ? null : await clientOwner(known, port)
  if (uid === null) return nobody('local unknown', 'the kernel does not say whose connection this is')
  const listed = entries.some((entry) => entry.uid === uid)
  return {
    name: `uid ${uid}`,
    source: `local uid ${uid}`,
    problem: async () => (listed ? null : `uid ${uid} is not among the callers`),
    close: () => undefined,
  }
}
