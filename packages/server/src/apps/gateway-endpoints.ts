/** What a gateway serves under `/mcp/`, `/sse/` and `/http/`, and what is told of each call when it has ended. */

import type { Clock } from '@doorward/core'
import { Handles } from '@doorward/enforcement'
import { randomBytes } from '@doorward/sdk'
import type { Pipeline, SessionTable } from '@doorward/enforcement'
import type { Log } from '../observability/log.ts'
import type { CallReport } from '../transports/call-report.ts'
import { HttpBackends } from '../transports/http-backends.ts'
import type { HttpBackend } from '../transports/http-backends.ts'
import { LegacySse } from '../transports/legacy-sse.ts'
import { StreamableHttp } from '../transports/streamable-http.ts'
import type { ChangingParts } from './gateway-change.ts'
import { countCall } from './gateway-desk.ts'
import type { GatewayCounts } from './gateway-desk.ts'
import { upstreamLimits } from './gateway-servers.ts'
import type { GatewayServer } from './gateway-servers.ts'
import type { GatewaySettings } from './gateway-settings.ts'
import type { GatewayState } from './gateway-state.ts'
import { bodyBytes } from './live-settings.ts'
import type { LiveSettings } from './live-settings.ts'

export interface EndpointParts {
  readonly pipeline: Pipeline
  readonly sessions: SessionTable
  readonly servers: ReadonlyMap<string, GatewayServer>
  readonly backends: ReadonlyMap<string, HttpBackend>
}

export interface Endpoints {
  readonly endpoint: StreamableHttp
  /** In front of it. */
  readonly legacySse: LegacySse
  readonly httpBackends: HttpBackends
}

export interface EndpointSurroundings {
  readonly settings: GatewaySettings
  readonly live: LiveSettings
  readonly state: Pick<GatewayState, 'handleKey'>
  readonly clock: Clock
  readonly log: Log
  readonly counts: GatewayCounts
  readonly onProblem: (error: unknown) => void
}

const KEEP_ALIVE_MILLISECONDS = 15_000

export function openEndpoints(
  { settings, live, state, clock, log, counts, onProblem }: EndpointSurroundings,
  { pipeline, sessions, servers, backends, counted, tracing }: ChangingParts,
): Endpoints {
  const told = {
    monotonic: () => performance.now(),
    beginTrace: tracing.beginTrace,
    onCall: (call: CallReport) => {
      log.call(call)
      countCall(counts, call)
      counted.call(call)
      tracing.ended(call)
    },
    onProblem,
  }
  const endpoint = new StreamableHttp({
    ...told,
    pipeline,
    sessions,
    servers: servers.ways,
    handles: new Handles({ key: state.handleKey, now: clock }),
    limits: upstreamLimits(settings),
    get bodyBytes() {
      return bodyBytes(live.current)
    },
    keepAliveMilliseconds: KEEP_ALIVE_MILLISECONDS,
  })
  const httpBackends = new HttpBackends({
    ...told,
    pipeline,
    backends: backends.ways,
    get bodyBytes() {
      return bodyBytes(live.current)
    },
  })
  const legacySse = new LegacySse({
    ...told,
    ...upstreamLimits(settings),
    pipeline,
    sessions,
    servers: servers.ways,
    endpoint,
    random: randomBytes,
    keepAliveMilliseconds: KEEP_ALIVE_MILLISECONDS,
  })
  return { endpoint, legacySse, httpBackends }
}
