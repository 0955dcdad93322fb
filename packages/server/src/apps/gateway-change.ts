/** What of a gateway another configuration changes while it runs, prepared beside what serves and taken up in one moment. */

import { deny } from '@doorward/enforcement'
import type { Identified, KeptContent, Pipeline, SessionTable } from '@doorward/enforcement'
import type { GatewaySecrets } from './credentials/gateway-secrets.ts'
import type { PeopleGrants } from './credentials/people-grants.ts'
import type { GatewayCounts } from './gateway-desk.ts'
import type { PreparedDecisions, RunningDecisions } from './gateway-decisions.ts'
import type { PreparedEdge, RunningEdge } from './gateway-edge.ts'
import type { GatewayMetrics } from './gateway-metrics.ts'
import type { GatewayReading, PreparedChange } from './gateway-reload.ts'
import type { GatewaySettings } from './gateway-settings.ts'
import type { GatewayState } from './gateway-state.ts'
import type { GatewayTracing, LiveTracing } from './gateway-tracing.ts'
import type { LiveExports } from './live-exports.ts'
import type { GatewayBackend } from './gateway-backends.ts'
import { calledNames } from './gateway-desk.ts'
import type { GatewayServer } from './gateway-servers.ts'
import type { LiveBackends, LiveServers, PreparedWays, ServerChanges } from './live-servers.ts'
import type { LiveSettings } from './live-settings.ts'
import type { Loop, ReplaceableLoop } from './replaceable-loop.ts'

export interface ChangingParts {
  readonly live: LiveSettings
  readonly state: Pick<GatewayState, 'keptUnder'>
  readonly pipeline: Pipeline
  readonly sessions: SessionTable
  readonly servers: LiveServers
  readonly backends: LiveBackends
  readonly secrets: GatewaySecrets
  /** Null where there is no edge. */
  readonly people: Pick<PeopleGrants, 'prepareIssuers'> | null
  /** Null where there is none; it is opened last. */
  readonly edge: () => Pick<RunningEdge, 'prepare'> | null
  /** Null where nobody asks; it is opened last, too. */
  readonly decisions: () => Pick<RunningDecisions, 'prepare'> | null
  readonly counts: GatewayCounts
  readonly counted: GatewayMetrics
  readonly tracing: LiveTracing
  /** Begins nothing. */
  readonly openTracing: (settings: GatewaySettings) => GatewayTracing
  readonly exports: LiveExports
  /** Words to receivers beside the record. */
  readonly urgent: ReplaceableLoop
  readonly urgentLoop: (settings: GatewaySettings) => Loop
}

/** Throws what keeps the change from being taken up, such as the codes of `openServer`; then nothing is left of it. */
export async function prepareChange(parts: ChangingParts, reading: GatewayReading): Promise<PreparedChange> {
  const { settings } = reading
  const kept = await parts.state.keptUnder(settings.keep ?? null)
  const edge = (await parts.edge()?.prepare(settings, settings.trustDomain)) ?? null
  const decisions = parts.decisions()?.prepare(settings) ?? null
  const issuers = (await parts.people?.prepareIssuers(settings.issuers ?? [])) ?? null
  const tracing = isBelow(reading, 'tracing') ? parts.openTracing(settings) : null
  const backends = await parts.backends.prepare(settings)
  const servers = await parts.servers.prepare(settings).catch(async (error: unknown) => {
    await parts.backends.discard(backends)
    throw error
  })
  return {
    servers: bothOf(servers.changes, backends.changes),
    entries: [edge?.facts ?? null, decisions?.facts ?? null].flatMap((body) =>
      body === null ? [] : [{ kind: 'lifecycle', body }],
    ),
    apply: () => apply(parts, settings, { kept, tracing, edge, decisions, issuers, servers, backends }),
    follow: () => follow(parts, reading),
    discard: async () => {
      await parts.servers.discard(servers)
      await parts.backends.discard(backends)
    },
  }
}

/** No service has the name of a server; one that was the other has come and gone. */
function bothOf(servers: ServerChanges, services: ServerChanges): ServerChanges {
  return {
    added: [...servers.added, ...services.added],
    removed: [...servers.removed, ...services.removed],
    changed: [...servers.changed, ...services.changed],
  }
}

interface Prepared {
  readonly kept: KeptContent | null
  /** Null where it stays as it is. */
  readonly tracing: GatewayTracing | null
  /** Null where there is none. */
  readonly edge: PreparedEdge | null
  readonly decisions: PreparedDecisions | null
  readonly issuers: (() => void) | null
  readonly servers: PreparedWays<GatewayServer>
  readonly backends: PreparedWays<GatewayBackend>
}

/** Calls under way at a service that changes end as they began: there is no session that goes on. */
function apply(parts: ChangingParts, settings: GatewaySettings, prepared: Prepared): void {
  const { kept, tracing, edge, decisions, issuers, servers, backends } = prepared
  const { live, pipeline, counts, counted } = parts
  const { perUser, connectionLimits, quotas } = settings.security
  live.take(settings)
  parts.secrets.take(settings.secrets ?? {}, settings.vault ?? null)
  pipeline.retune({ perUser, connectionLimits, quotas, kept, edge: edge?.rules ?? null })
  parts.sessions.endWhere((session) => [session.openedBy, session.identified].some((one) => isOut(pipeline, one)))
  edge?.apply()
  decisions?.apply()
  issuers?.()
  endCalls(parts, [...servers.changes.removed, ...servers.changes.changed, ...backends.changes.removed])
  parts.servers.take(servers)
  parts.backends.take(backends)
  counts.take(settings)
  counted.follow(calledNames(settings))
  if (tracing !== null) parts.tracing.replace(tracing)
}

function isOut(pipeline: Pipeline, identified: Identified): boolean {
  return pipeline.edgeProblem(identified) !== null
}

/** Ends the answers and sessions of servers that are not what they were: told first, so that no failure of theirs is. */
function endCalls({ pipeline, sessions }: ChangingParts, ended: readonly string[]): void {
  const names = new Set(ended)
  if (names.size === 0) return
  for (const call of pipeline.open) {
    const { action, resource } = call.authorized.classified.call
    if (!names.has(resource.server)) continue
    const why = `the configuration of the server ${resource.server} has changed, or it is not there any more`
    call.forbid(deny('server_changed', why, { action, resource }))
  }
  sessions.endWhere(({ server }) => names.has(server))
}

async function follow(parts: ChangingParts, reading: GatewayReading): Promise<void> {
  const { settings } = reading
  const { exports = [], alerts = [] } = settings
  if (isBelow(reading, 'alerts')) parts.urgent.replace(parts.urgentLoop(settings))
  if (isBelow(reading, 'alerts') || isBelow(reading, 'audit.exports')) await parts.exports.replace({ exports, alerts })
}

function isBelow({ changed }: GatewayReading, key: string): boolean {
  return changed.some((one) => one === key || one.startsWith(`${key}.`) || one.startsWith(`${key}[`))
}
