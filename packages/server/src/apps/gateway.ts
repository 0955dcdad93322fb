/**
 * The gateway process: parses hostile bytes, holds no signing key but its own, and never asks the authority during a
 * call. Start-up: state, record, identity, policy, servers, and listeners last. Any failure closes what was opened.
 */

import { DoorwardError } from '@doorward/core'
import type { Clock, JsonValue } from '@doorward/core'
import type { Pipeline, PipelineWatch } from '@doorward/enforcement'
import { importP256, randomBytes, sha256, systemClock } from '@doorward/sdk'
import type { Health } from '../observability/health.ts'
import { openLog } from '../observability/log.ts'
import type { Log } from '../observability/log.ts'
import type { PolicyReading } from '../config/policy-reading.ts'
import { gatewayCallerRoutes, gatewayRoutes } from '../transports/gateway-api.ts'
import { defaultSessionLimits, SessionTable } from '../transports/session.ts'
import { StreamableHttp } from '../transports/streamable-http.ts'
import type { McpServer } from '../transports/streamable-http.ts'
import { runUrgentAlerts } from './alert-webhooks.ts'
import type { UrgentAlertsParts } from './alert-webhooks.ts'
import { RunningExports } from './audit-exports.ts'
import type { DetectionDesk } from './detection-desk.ts'
import { countCall, detectionSender, openGatewayCounts, openGatewayDesk } from './gateway-desk.ts'
import type { GatewayCounts, GatewayDeskParts } from './gateway-desk.ts'
import { GatewayDetections } from './gateway-detections.ts'
import { collectCalls, GatewayMetrics } from './gateway-metrics.ts'
import { housekeep } from './gateway-housekeeping.ts'
import { openTracing } from './gateway-tracing.ts'
import type { GatewayTracing } from './gateway-tracing.ts'
import { GatewayWitness } from './gateway-witness.ts'
import { openGatewayListeners } from './gateway-listeners.ts'
import type { GatewayListeners } from './gateway-listeners.ts'
import { takeUpNames } from './gateway-names.ts'
import { openServers, upstreamLimits } from './gateway-servers.ts'
import type { GatewayAddress, GatewayListenerName, GatewaySettings } from './gateway-settings.ts'
import { openGatewayState } from './gateway-state.ts'
import type { GatewayState } from './gateway-state.ts'
import { gatewayFacts, healthNow, statusNow, verifierKeyOf } from './gateway-status.ts'
import { collectListeners, collectOwn, measureLag } from './own-gauges.ts'
import { OwnMetrics } from './own-metrics.ts'
import { openPipeline } from './own-pipeline.ts'
import { decideWithTime } from './policy-clock.ts'
import { ActivePolicy, policyPort } from './policy-reload.ts'
import type { PolicyOutcome } from './policy-reload-entries.ts'
import { keepAll, RunningRetention } from './log-retention.ts'
import { redactionPort } from './log-redaction.ts'
import { verifierOf } from './prove-log.ts'

export type { GatewaySettings } from './gateway-settings.ts'

export type GatewayEvent =
  /** Shown to the operator, loudly. */
  | { readonly type: 'warning'; readonly code: string; readonly text: string }
  /** Something failed that is tried again. */
  | { readonly type: 'problem'; readonly error: unknown }

export interface GatewayOptions {
  /** Stops the gateway. */
  readonly signal: AbortSignal
  readonly report: (event: GatewayEvent) => void
  /** Asked only when the gateway has no identity yet; `join_string_missing` when there is nobody to ask. */
  readonly joinString?: () => Promise<string>
  /** Reads the policy anew; without it the policy of the start stays. */
  readonly rereadPolicy?: () => Promise<PolicyReading>
  /** Standard output by default. */
  readonly log?: Log
  /** The machine's clock by default. */
  readonly clock?: Clock
  /** Pause between looks for findings; 1000 by default. */
  readonly lookMilliseconds?: number
}

export interface RunningGateway {
  readonly addresses: Readonly<Record<GatewayListenerName, GatewayAddress>>
  readonly id: string
  /** Origin and verifier key of the gateway's log. */
  readonly record: { readonly origin: string; readonly verifierKey: string; readonly folder: string }
  health(): Health
  /** Replaces the gateway's certificate now, however young it is; connections that are open go on. Throws why that failed. */
  renew(): Promise<void>
  /** Reads the policy anew and decides by it, on record as `by`; null when another reading waits already. */
  reloadPolicy(by: string): Promise<PolicyOutcome | null>
  /** Resolves when everything is closed. */
  readonly stopped: Promise<void>
}

const GRACE_MILLISECONDS = 8000
const KEEP_ALIVE_MILLISECONDS = 15_000

/**
 * Starts a gateway. Throws the codes of the state folder (`state_*`), key file (`key_*`), record (`record_*`), joining
 * and identity (`join_*`, `identity_*`, `authority_*`, `trust_state_missing`), policy (`policy_*`), servers
 * (`upstream_url_invalid`) and listeners (`port_in_use`, …).
 */
export async function startGateway(settings: GatewaySettings, options: GatewayOptions): Promise<RunningGateway> {
  await using stack = new AsyncDisposableStack()
  const log = options.log ?? openLog({ name: `gateway/${settings.name}` })
  stack.defer(() => log.close())
  const clock = options.clock ?? systemClock
  const onProblem = (error: unknown) => {
    log.problem('problem', error)
    options.report({ type: 'problem', error })
  }
  const state = await openGatewayState(
    settings,
    { clock, joinString: options.joinString ?? nobodyToAsk, onProblem, warn: warning({ log, options }) },
    stack,
  )
  const counts = openGatewayCounts(settings)
  const own = new OwnMetrics('gateway')
  own.countEntries(state.record, () => undefined)
  const starting = { settings, options, clock, log, state, counts, own, onProblem }
  const exports = openExports(starting, stack)
  const running = await assemble(starting, exports, stack)
  const kept = stack.move()
  return { ...running, stopped: stopOn(options.signal, kept, onProblem) }
}

/** Exports and retention: they end after whatever writes to the record, and before the record closes. */
function openExports(starting: Starting, stack: AsyncDisposableStack): RunningExports {
  const { settings, clock, state } = starting
  const { exports: places = [], alerts = [], stateDir, retention = keepAll } = settings
  const warn = warning(starting)
  const exports = new RunningExports({ ...state, exports: places, alerts, stateDir, clock, warn })
  stack.defer(() => exports.stop())
  const expiring = new RunningRetention({ ...state, settings: retention, exports, clock, warn })
  stack.defer(() => expiring.stop())
  return exports
}

function deskParts(starting: Starting, exports: RunningExports, policy: ActivePolicy): GatewayDeskParts {
  const { lookMilliseconds: pauseMilliseconds } = starting.options
  return { ...starting, policy, exports: () => exports.states(), warn: warning(starting), pauseMilliseconds }
}

function urgentParts({ settings, state, clock }: Starting, desk: DetectionDesk): UrgentAlertsParts {
  const { origin } = state.record.stats()
  return { places: settings.alerts ?? [], origin, unrecorded: () => desk.unrecorded(), clock }
}

/** For the log, and loudly for the operator. */
function warning({ log, options }: Pick<Starting, 'log' | 'options'>): (code: string, text: string) => void {
  return (code, text) => {
    log.warning(code, { text })
    options.report({ type: 'warning', code, text })
  }
}

function nobodyToAsk(): Promise<string> {
  return Promise.reject(
    new DoorwardError('join_string_missing', 'the gateway has no identity yet and no join string', {
      next: 'make one with `doorward gateway add`, and start the gateway with it',
    }),
  )
}

async function stopOn(
  signal: AbortSignal,
  stack: AsyncDisposableStack,
  onProblem: (error: unknown) => void,
): Promise<void> {
  if (!signal.aborted)
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
  try {
    await stack.disposeAsync()
  } catch (error) {
    onProblem(error)
  }
}

interface Starting {
  readonly settings: GatewaySettings
  readonly options: GatewayOptions
  readonly clock: Clock
  readonly log: Log
  readonly state: GatewayState
  readonly counts: GatewayCounts
  readonly own: OwnMetrics
  readonly onProblem: (error: unknown) => void
}

async function assemble(
  starting: Starting,
  exports: RunningExports,
  stack: AsyncDisposableStack,
): Promise<Omit<RunningGateway, 'stopped'>> {
  const { settings, options, log, state, own } = starting
  await state.record.append({ kind: 'lifecycle', body: { event: 'gateway.start', name: settings.name } })
  const loops = new AbortController()
  await state.identity.prepare(options.signal)
  await takeUpNames(state.identity, settings.names, { signal: options.signal, onProblem: starting.onProblem })
  const detections = openDetections(starting)
  const { policy, pipeline } = await openDecisions(starting, own.watching(detections))
  const sessions = openSessions(settings)
  const warn = (code: string, text: string) => options.report({ type: 'warning', code, text })
  const servers = await openServers({ settings, pipeline, identity: state.identity, log, warn }, stack)
  stack.defer(() => void sessions.endWhere(() => true))
  const tracing = openTraces(starting)
  const endpoint = openEndpoint(starting, { pipeline, sessions, servers }, tracing)
  const stopping = new AbortController()
  const health = () => healthNow(starting, stopping.signal)
  const witness = openWitness(starting)
  await witness.begin(options.signal)
  const { desk, telling } = await openGatewayDesk(deskParts(starting, exports, policy))
  const listeners = await listen(
    { ...starting, pipeline, endpoint, stopping, health, servers, sessions, policy, exports },
    stack,
  )
  const running = [
    pipeline.dependencies.refusals.run(loops.signal),
    state.identity.run(loops.signal),
    detections.run(loops.signal),
    ...[desk, telling].map((one) => one.run(loops.signal)),
    runUrgentAlerts(urgentParts(starting, desk), loops.signal),
    witness.run(loops.signal),
    housekeep({ ...starting, pipeline, sessions, listeners }, loops.signal),
    decideWithTime({ policy, pipeline }, loops.signal),
    measureLag(own.metrics, loops.signal),
    tracing.run(loops.signal),
  ]
  stack.defer(async () => {
    // First of all that is closed: no new calls, streams end so that the rest can drain.
    stopping.abort()
    policy.close()
    endpoint.endStreams()
    await Promise.all(Object.values(listeners).map((listener) => listener.close(GRACE_MILLISECONDS)))
    loops.abort()
    await Promise.all(running)
    await state.record.append({ kind: 'lifecycle', body: { event: 'gateway.stop', name: settings.name } })
  })
  return { ...runningOf(starting, listeners, health), reloadPolicy: (by) => policy.reload(by) }
}

function openTraces(starting: Starting): GatewayTracing {
  const { settings, state, clock, own } = starting
  return openTracing({
    tracing: settings.tracing ?? null,
    instance: state.identity.id.uri,
    clock,
    metrics: own.metrics,
    warn: warning(starting),
  })
}

function openDetections({ state, clock, counts, options, onProblem }: Starting): GatewayDetections {
  const { identity, record } = state
  const detections = new GatewayDetections({
    trust: identity.trust,
    importP256,
    record,
    clock,
    rates: counts.rates,
    send: detectionSender(identity),
    warn: (code, text) => options.report({ type: 'warning', code, text }),
    onProblem,
  })
  identity.trust.onApply((view) => detections.sightings.remember(view))
  return detections
}

function openWitness(starting: Starting): GatewayWitness {
  const { settings, state, onProblem } = starting
  const { trustDomain } = settings
  const named = new RegExp(`^${trustDomain.replaceAll('.', String.raw`\.`)}/authority(?:/[a-z0-9._-]{1,64})?$`)
  return new GatewayWitness({
    ...state,
    ofAuthority: (origin) => named.test(origin),
    warn: warning(starting),
    onProblem,
  })
}

/** The policy is on record before anything is decided by it. */
async function openDecisions(starting: Starting, watch: PipelineWatch) {
  const { settings, state, clock } = starting
  const policy = activePolicy(starting)
  await policy.start()
  const { decisions } = policy
  const { trust } = state.identity
  const { witnessed: log, kept } = state
  const pipeline = openPipeline({ ...settings, trust, decisions, log, kept, clock, watch })
  policy.onChange((version) => void pipeline.policyChanged(version))
  return { policy, pipeline }
}

function activePolicy({ settings, options, state, clock, onProblem }: Starting): ActivePolicy {
  const reading = { policy: settings.policy, operatorRoles: [], candidate: settings.candidate ?? null, restart: [] }
  return new ActivePolicy({
    record: state.record,
    clock,
    reading,
    reread: options.rereadPolicy ?? null,
    onProblem,
  })
}

function openSessions({ limits }: GatewaySettings): SessionTable {
  return new SessionTable({
    limits: { ...defaultSessionLimits, ...limits?.sessions },
    random: randomBytes,
    monotonic: () => performance.now(),
  })
}

interface EndpointParts {
  readonly pipeline: Pipeline
  readonly sessions: SessionTable
  readonly servers: ReadonlyMap<string, McpServer>
}

function openEndpoint(
  { settings, log, counts, own, onProblem }: Starting,
  parts: EndpointParts,
  tracing: GatewayTracing,
): StreamableHttp {
  const counted = new GatewayMetrics(own.metrics, [...parts.servers.keys()])
  return new StreamableHttp({
    ...parts,
    limits: upstreamLimits(settings),
    bodyBytes: settings.limits?.bodyBytes ?? 1024 * 1024,
    keepAliveMilliseconds: KEEP_ALIVE_MILLISECONDS,
    monotonic: () => performance.now(),
    beginTrace: tracing.beginTrace,
    onCall: (call) => {
      log.call(call)
      countCall(counts, call)
      counted.call(call)
      tracing.ended(call)
    },
    onProblem,
  })
}

interface Listening extends Starting, EndpointParts {
  readonly endpoint: StreamableHttp
  readonly stopping: AbortController
  readonly health: () => Health
  readonly policy: ActivePolicy
  readonly exports: RunningExports
}

async function listen(parts: Listening, stack: AsyncDisposableStack): Promise<GatewayListeners> {
  const { settings, state, pipeline, endpoint, onProblem, stopping, health, policy, own } = parts
  const routes = gatewayRoutes({
    recordFolder: state.recordFolder,
    status: () => statusNow(parts),
    policy: policyPort(policy),
    metrics: own.port,
    redactions: redactionPort(state.redaction, state.record),
    hmac: (value, by) => hmacOnRecord(state, value, by),
    stopping: stopping.signal,
  })
  const callerRoutes = gatewayCallerRoutes({
    recordFolder: state.recordFolder,
    verifier: verifierOf(verifierKeyOf(state)),
    sha256,
    sizes: () => state.record.stats(),
  })
  const listenerParts = { settings, pipeline, endpoint, routes, callerRoutes, own, onProblem }
  const listeners = await openGatewayListeners(
    { ...listenerParts, material: state.identity.material(), ready: () => health().ready },
    stack,
    GRACE_MILLISECONDS,
  )
  collectOwn(own.metrics, { ...gatewayFacts(parts), exports: parts.exports, policy, ready: () => health().ready })
  collectListeners(own.metrics, listeners)
  collectCalls(own.metrics, { open: pipeline.open, sessions: parts.sessions })
  return listeners
}

/** On record before it is told: whoever can ask often can guess what stands there. */
async function hmacOnRecord({ kept, record }: GatewayState, value: JsonValue, by: string): Promise<string | null> {
  if (kept === null) return null
  await record.append({ kind: 'admin', body: { change: 'audit.hmac', by } })
  return kept.hmacOf(value)
}

function runningOf(
  { state }: Starting,
  listeners: GatewayListeners,
  health: () => Health,
): Omit<RunningGateway, 'stopped' | 'reloadPolicy'> {
  const { main, admin, public: open } = listeners
  return {
    addresses: { main: main.address, admin: admin.address, public: open.address },
    id: state.identity.id.uri,
    record: { origin: state.record.stats().origin, verifierKey: verifierKeyOf(state), folder: state.recordFolder },
    health,
    renew: () => state.identity.renew(),
  }
}
