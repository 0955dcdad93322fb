/** What gateway and authority read off themselves for each scrape. */

import { readdir } from 'node:fs/promises'
import type { Freshness } from '@doorward/core'
import type { FileRecord, Listener, TrustSource } from '@doorward/enforcement'
import type { ExportState } from '../audit/export/state.ts'
import { ownRows } from '../observability/metric-rows.ts'
import type { Metrics } from '../observability/metrics.ts'
import type { ActivePolicy } from './policy-reload.ts'

export interface OwnFacts {
  readonly record: Pick<FileRecord, 'stats'>
  /** State of the record with what keeps it from permitting; that of `stats` by default. */
  readonly recordState?: () => string
  readonly exports: { states(): readonly ExportState[] }
  readonly trust: Pick<TrustSource, 'current' | 'ageSeconds'>
  readonly trustState: () => 'none' | Freshness
  /** Until our own certificate ends. */
  readonly certificateSeconds: () => number
  readonly policy: Pick<ActivePolicy, 'numbers'>
  readonly ready: () => boolean
}

const recordStates = ['open', 'failed', 'forked', 'closed', 'unseen', 'refused'] as const
const exportStates = ['delivering', 'failing', 'stopped'] as const
const trustStates = ['none', 'fresh', 'reduced', 'stale'] as const

export function collectOwn(metrics: Metrics, facts: OwnFacts): void {
  metrics.onScrape(() => {
    metrics.set(ownRows.ready, facts.ready() ? 1 : 0)
    metrics.set(ownRows.certificateSeconds, facts.certificateSeconds())
    collectRecord(metrics, facts)
    collectExports(metrics, facts)
    collectTrust(metrics, facts)
    collectPolicy(metrics, facts)
  })
  metrics.onScrape(() => collectProcess(metrics))
}

function collectRecord(metrics: Metrics, { record, recordState }: OwnFacts): void {
  const { state, size, checkpointSize, queued, syncs, commits } = record.stats()
  metrics.setState(ownRows.recordState, recordStates, recordState?.() ?? state)
  metrics.set(ownRows.recordEntries, size)
  metrics.set(ownRows.recordUncovered, Math.max(0, size - checkpointSize))
  metrics.set(ownRows.recordQueued, queued)
  metrics.set(ownRows.recordSyncs, syncs)
  Object.assign(metrics.summary(ownRows.recordCommits).cell(), {
    sum: commits.milliseconds / 1000,
    count: commits.count,
  })
}

function collectExports(metrics: Metrics, { record, exports }: OwnFacts): void {
  const { size } = record.stats()
  for (const { name, state, lagging, next, rejected } of exports.states()) {
    metrics.setState(ownRows.exportState, exportStates, state, name)
    metrics.numbers(ownRows.exportLagging).cell(name).value = lagging ? 1 : 0
    metrics.numbers(ownRows.exportWaiting).cell(name).value = Math.max(0, size - next)
    metrics.numbers(ownRows.exportAcknowledged).cell(name).value = next
    metrics.numbers(ownRows.exportRejected).cell(name).value = rejected
  }
}

function collectTrust(metrics: Metrics, { trust, trustState }: OwnFacts): void {
  const state = trust.current()?.state
  metrics.set(ownRows.trustAge, trust.ageSeconds())
  metrics.setState(ownRows.trustState, trustStates, trustState())
  metrics.set(ownRows.trustSequence, state?.sequence ?? 0)
  metrics.set(ownRows.trustEpoch, state?.epoch ?? 0)
}

function collectPolicy(metrics: Metrics, { policy }: OwnFacts): void {
  const { version, differences, reloads } = policy.numbers()
  const info = metrics.numbers(ownRows.policy)
  info.clear()
  info.cell(version.digest).value = 1
  metrics.set(ownRows.policySequence, version.sequence)
  metrics.set(ownRows.policyShadow, differences)
  for (const [outcome, count] of Object.entries(reloads))
    metrics.numbers(ownRows.policyReloads).cell(outcome).value = count
}

/** Open connections and completed handshakes. */
export function collectListeners(metrics: Metrics, listeners: Readonly<Record<string, Listener>>): void {
  metrics.onScrape(() => {
    for (const { name, openConnections, handshakes } of Object.values(listeners)) {
      metrics.numbers(ownRows.connections).cell(name).value = openConnections
      metrics.numbers(ownRows.handshakes).cell(name).value = handshakes
    }
  })
}

export async function collectProcess(metrics: Metrics): Promise<void> {
  const { user, system } = process.cpuUsage()
  metrics.set(ownRows.cpu, (user + system) / 1e6)
  metrics.set(ownRows.memory, process.memoryUsage.rss())
  metrics.set(ownRows.started, performance.timeOrigin / 1000)
  // Elsewhere than on Linux nothing tells, and the number stays 0.
  const files = await readdir('/proc/self/fd').catch(() => [])
  metrics.set(ownRows.files, files.length)
}
