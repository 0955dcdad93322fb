/** Puts together what another configuration may change while a gateway runs, as that of the start has it. */

import type { Clock } from '@doorward/core'
import { SessionTable } from '@doorward/enforcement'
import type { Pipeline } from '@doorward/enforcement'
import { randomBytes } from '@doorward/sdk'
import type { Log } from '../observability/log.ts'
import { runUrgentAlerts } from './alert-webhooks.ts'
import type { GatewaySecrets } from './credentials/gateway-secrets.ts'
import type { PeopleGrants } from './credentials/people-grants.ts'
import type { DetectionDesk } from './detection-desk.ts'
import type { ChangingParts } from './gateway-change.ts'
import type { GatewayDefinitions } from './gateway-definitions.ts'
import { calledNames } from './gateway-desk.ts'
import type { GatewayCounts } from './gateway-desk.ts'
import type { GatewayDoors } from './gateway-doors.ts'
import { GatewayMetrics } from './gateway-metrics.ts'
import type { GatewaySettings } from './gateway-settings.ts'
import type { GatewayState } from './gateway-state.ts'
import { LiveTracing, openTracing } from './gateway-tracing.ts'
import type { GatewayTracing } from './gateway-tracing.ts'
import type { LiveExports } from './live-exports.ts'
import { liveBackends, liveServers } from './live-servers.ts'
import { sessionLimits } from './live-settings.ts'
import type { LiveSettings } from './live-settings.ts'
import type { OwnMetrics } from './own-metrics.ts'
import { ReplaceableLoop } from './replaceable-loop.ts'
import type { Loop } from './replaceable-loop.ts'

export interface ChangingNeeds {
  readonly live: LiveSettings
  readonly state: GatewayState
  readonly clock: Clock
  readonly log: Log
  readonly counts: GatewayCounts
  readonly own: OwnMetrics
  readonly pipeline: Pipeline
  readonly exports: LiveExports
  readonly definitions: GatewayDefinitions
  readonly secrets: GatewaySecrets
  readonly people: PeopleGrants | null
  /** For the process log, and loudly for the operator. */
  readonly warn: (code: string, text: string) => void
  /** Loudly for the operator alone. */
  readonly tell: (code: string, text: string) => void
}

export interface Changing extends ChangingParts {
  /** Whose findings receivers hear of. */
  readonly toDesk: (desk: DetectionDesk) => void
  /** Which changes with the rest. */
  readonly toDoors: (doors: GatewayDoors) => void
}

/** What is opened last. */
interface Told {
  desk: DetectionDesk | null
  doors: GatewayDoors | null
}

/** Opens the ways to servers, which `stack` closes after their sessions. Throws as `openServer`. */
export async function openChanging(needs: ChangingNeeds, stack: AsyncDisposableStack): Promise<Changing> {
  const { live, state, log, counts, own, pipeline, exports, definitions, secrets, people, tell: warn } = needs
  const settings = live.current
  const sessions = new SessionTable({
    limits: sessionLimits(live),
    random: randomBytes,
    monotonic: () => performance.now(),
  })
  const ways = { live, identity: state.identity, secrets, people, log, warn }
  const servers = liveServers({ ...ways, pipeline, definitions })
  stack.defer(() => servers.close())
  servers.take(await servers.prepare(settings))
  const backends = liveBackends({ ...ways, definitions, handleKey: state.handleKey })
  stack.defer(() => backends.close())
  backends.take(await backends.prepare(settings))
  stack.defer(() => void sessions.endWhere(() => true))
  const told: Told = { desk: null, doors: null }
  const loopOf = urgentLoop(needs, () => told.desk)
  const tracesOf = (of: GatewaySettings) => openTraces(needs, of)
  return {
    live,
    state,
    pipeline,
    sessions,
    servers,
    backends,
    secrets,
    people,
    edge: () => told.doors?.edge ?? null,
    decisions: () => told.doors?.decisions ?? null,
    counts,
    counted: new GatewayMetrics(own.metrics, calledNames(settings)),
    tracing: new LiveTracing(tracesOf(settings)),
    openTracing: tracesOf,
    exports,
    urgent: new ReplaceableLoop(loopOf(settings)),
    urgentLoop: loopOf,
    toDesk: (desk) => (told.desk = desk),
    toDoors: (doors) => (told.doors = doors),
  }
}

/** Words to the receivers of those settings. */
function urgentLoop({ state, clock }: ChangingNeeds, desk: () => DetectionDesk | null): (of: GatewaySettings) => Loop {
  const { origin } = state.record.stats()
  const unrecorded = () => desk()?.unrecorded() ?? []
  return ({ alerts: places = [] }) =>
    (signal) =>
      runUrgentAlerts({ places, origin, unrecorded, clock }, signal)
}

function openTraces({ state, clock, own, warn }: ChangingNeeds, { tracing = null }: GatewaySettings): GatewayTracing {
  return openTracing({ tracing, instance: state.identity.id.uri, clock, metrics: own.metrics, warn })
}
