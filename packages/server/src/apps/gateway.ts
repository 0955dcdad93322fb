/**
 * The gateway process: parses hostile bytes, holds no signing key but its own, and never asks the authority during a
 * call. Start-up: state, record, identity, policy, servers, and listeners last. Any failure closes what was opened.
 */

import type { Clock, JsonValue } from '@doorward/core'
import type { ApprovalDesk, PipelineWatch } from '@doorward/enforcement'
import { importP256, sha256, systemClock } from '@doorward/sdk'
import type { Health } from '../observability/health.ts'
import { openLog } from '../observability/log.ts'
import type { Log } from '../observability/log.ts'
import type { PolicyReading } from '../config/policy-reading.ts'
import { gatewayCallerRoutes, gatewayRoutes } from '../transports/gateway-api.ts'
import { configurationPort, GatewayReload } from './gateway-reload.ts'
import type { GatewayReading } from './gateway-reload.ts'
import type { ReloadOutcome } from './gateway-reload-entries.ts'
import { GatewaySecrets } from './credentials/gateway-secrets.ts'
import { grantsDesk } from './credentials/grants-desk.ts'
import { openGatewayPeople } from './credentials/people-grants.ts'
import type { PeopleGrants } from './credentials/people-grants.ts'
import { secretsDesk } from './credentials/secrets-desk.ts'
import { openApprovals } from './gateway-approvals.ts'
import { prepareChange } from './gateway-change.ts'
import type { ChangingParts } from './gateway-change.ts'
import { openChanging } from './gateway-changing.ts'
import { detectionSender, GatewayCounts, openGatewayDesk } from './gateway-desk.ts'
import type { GatewayDeskParts } from './gateway-desk.ts'
import { GatewayDefinitions } from './gateway-definitions.ts'
import { GatewayDetections } from './gateway-detections.ts'
import { collectApprovals, collectCalls, collectCircuits, collectEdge, collectReloads } from './gateway-metrics.ts'
import { housekeep } from './gateway-housekeeping.ts'
import type { LiveTracing } from './gateway-tracing.ts'
import { LiveExports } from './live-exports.ts'
import { listenerLimits, LiveSettings } from './live-settings.ts'
import { GatewayWitness } from './gateway-witness.ts'
import { openDoors } from './gateway-doors.ts'
import type { GatewayDoors } from './gateway-doors.ts'
import { openEdgeRules } from './gateway-edge.ts'
import { gatewayCertificates } from './edge-certificates.ts'
import type { EdgeCertificates } from './edge-certificate-source.ts'
import { openEndpoints } from './gateway-endpoints.ts'
import type { EndpointParts, Endpoints } from './gateway-endpoints.ts'
import { openGatewayListeners } from './gateway-listeners.ts'
import type { GatewayListeners } from './gateway-listeners.ts'
import { takeUpNames } from './gateway-names.ts'
import type { GatewayAddress, GatewayListenerName, GatewaySettings } from './gateway-settings.ts'
import { nobodyToAsk, openGatewayState } from './gateway-state.ts'
import type { GatewayState } from './gateway-state.ts'
import { gatewayFacts, healthNow, statusNow, verifierKeyOf } from './gateway-status.ts'
import { collectListeners, collectOwn } from './own-gauges.ts'
import { watchLoad } from './own-load.ts'
import { OwnMetrics } from './own-metrics.ts'
import { openPipeline } from './own-pipeline.ts'
import { decideWithTime } from './policy-clock.ts'
import { ActivePolicy, policyPort } from './policy-reload.ts'
import type { PolicyOutcome } from './policy-reload-entries.ts'
import { keepAll, RunningRetention } from './log-retention.ts'
import { redactionPort } from './log-redaction.ts'
import { verifierOf } from './prove-log.ts'
import { stopOn } from './stop-on.ts'

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
  /** Reads the whole configuration anew; without it that of the start stays. */
  readonly reread?: () => Promise<GatewayReading>
  /** Digest of the configuration of the start; empty by default. */
  readonly digest?: string
  /** Standard output by default. */
  readonly log?: Log
  /** The machine's clock by default. */
  readonly clock?: Clock
  /** Pause between looks for findings; 1000 by default. */
  readonly lookMilliseconds?: number
}

export interface RunningGateway {
  readonly addresses: Readonly<Record<GatewayListenerName, GatewayAddress>> & {
    readonly edge?: GatewayAddress
    readonly decisions?: GatewayAddress
  }
  readonly id: string
  /** Origin and verifier key of the gateway's log. */
  readonly record: { readonly origin: string; readonly verifierKey: string; readonly folder: string }
  health(): Health
  /** Replaces the gateway's certificate now, however young it is; connections that are open go on. Throws why that failed. */
  renew(): Promise<void>
  /** Reads the policy anew and decides by it, on record as `by`; null when another reading waits already. */
  reloadPolicy(by: string): Promise<PolicyOutcome | null>
  /** Reads the whole configuration anew and goes by it, on record as `by`; null when another reading waits already. */
  reload(by: string): Promise<ReloadOutcome | null>
  /** Resolves when everything is closed. */
  readonly stopped: Promise<void>
}

/** For answers under way. */
const GRACE_MILLISECONDS = 8000
/** For what is asked of our readiness while we close. */
const LAST_MILLISECONDS = 250

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
  const counts = new GatewayCounts(settings)
  const live = new LiveSettings(settings)
  const own = new OwnMetrics('gateway')
  own.countEntries(state.record, () => undefined)
  const starting = { settings, live, options, clock, log, state, counts, own, onProblem }
  const exports = openExports(starting, stack)
  const running = await assemble(starting, exports, stack)
  const kept = stack.move()
  return { ...running, stopped: stopOn(options.signal, kept, onProblem) }
}

/** Exports and retention: they end after whatever writes to the record, and before the record closes. */
function openExports(starting: Starting, stack: AsyncDisposableStack): LiveExports {
  const { settings, clock, state } = starting
  const { exports: places = [], alerts = [], stateDir, retention = keepAll } = settings
  const warn = warning(starting)
  const exports = new LiveExports({ exports: places, alerts }, { ...state, stateDir, clock, warn })
  stack.defer(() => exports.stop())
  const expiring = new RunningRetention({ ...state, settings: retention, exports, clock, warn })
  stack.defer(() => expiring.stop())
  return exports
}

interface Watched {
  readonly exports: LiveExports
  readonly policy: ActivePolicy
  readonly reload: GatewayReload
  readonly definitions: GatewayDefinitions
  readonly certificates: EdgeCertificates | null
}

function deskParts(
  starting: Starting,
  { exports, policy, reload, definitions, certificates }: Watched,
): GatewayDeskParts {
  const { lookMilliseconds: pauseMilliseconds } = starting.options
  const refusedReload = () => reload.refusal()
  const warn = warning(starting)
  const watched = { policy, definitions, certificates, refusedReload, exports: () => exports.states() }
  return { ...starting, ...watched, warn, pauseMilliseconds }
}

/** For the log, and loudly for the operator. */
function warning({ log, options }: Pick<Starting, 'log' | 'options'>): (code: string, text: string) => void {
  return (code, text) => {
    log.warning(code, { text })
    options.report({ type: 'warning', code, text })
  }
}

interface Starting {
  /** Of the start. */
  readonly settings: GatewaySettings
  readonly live: LiveSettings
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
  exports: LiveExports,
  stack: AsyncDisposableStack,
): Promise<Omit<RunningGateway, 'stopped'>> {
  const { settings, options, state, own } = starting
  await state.record.append({ kind: 'lifecycle', body: { event: 'gateway.start', name: settings.name } })
  const [loops, stopping] = [new AbortController(), new AbortController()]
  await state.identity.prepare(options.signal)
  await takeUpNames(state.identity, settings.names, { signal: options.signal, onProblem: starting.onProblem })
  const detections = openDetections(starting)
  const { policy, pipeline, approvals } = await openDecisions(starting, own.watching(detections), stack)
  const tell = (code: string, text: string) => options.report({ type: 'warning', code, text })
  const certificates = await gatewayCertificates(settings, state, starting.onProblem)
  const definitions = new GatewayDefinitions({ ...starting, warn: tell })
  const secrets = openSecrets(starting, policy)
  stack.defer(() => secrets.close())
  const people = await openGatewayPeople(starting, stack)
  const held = { approvals, definitions, secrets, people, certificates }
  const needs = { ...starting, ...held, pipeline, exports, warn: warning(starting), tell }
  const changing = await openChanging(needs, stack)
  const endpoints = openEndpoints(starting, changing)
  const reload = openReload(starting, policy, changing)
  const health = () => healthNow({ ...starting, servers: changing.servers.ways }, stopping.signal)
  const witness = await openWitness(starting)
  const watched = { exports, policy, reload, definitions, certificates }
  const { desk, telling } = await openGatewayDesk(deskParts(starting, watched))
  changing.toDesk(desk)
  const limits = listenerLimits(starting.live)
  const doors = await openDoors({ ...needs, ...endpoints, limits }, stack, GRACE_MILLISECONDS)
  changing.toDoors(doors)
  const ways = { servers: changing.servers.ways, backends: changing.backends.ways }
  const serving = { ...needs, ...endpoints, ...ways, doors, sessions: changing.sessions, tracing: changing.tracing }
  const listeners = await listen({ ...serving, stopping, health, policy, reload }, stack)
  const running = [
    pipeline.dependencies.refusals.run(loops.signal),
    state.identity.run(loops.signal),
    detections.run(loops.signal),
    ...[desk, telling].map((one) => one.run(loops.signal)),
    changing.urgent.run(loops.signal),
    witness.run(loops.signal),
    housekeep({ ...serving, listeners }, loops.signal),
    ...(doors.edge === null ? [] : [doors.edge.run(loops.signal)]),
    decideWithTime({ policy, pipeline }, loops.signal),
    watchLoad(own.metrics, pipeline, loops.signal),
    changing.tracing.run(loops.signal),
  ]
  stack.defer(() =>
    stopServing(starting, { ...endpoints, stopping, policy, approvals, reload, listeners, doors, loops, running }),
  )
  return {
    ...runningOf(starting, { listeners, doors }, health),
    reloadPolicy: (by) => policy.reload(by),
    reload: (by) => reload.reload(by),
  }
}

function openSecrets({ settings, state, clock }: Starting, policy: ActivePolicy): GatewaySecrets {
  const { secrets = {}, vault = null } = settings
  const { secretStore: store, record } = state
  return new GatewaySecrets({ settings: secrets, vault, store, record, clock, policy: () => policy.current().policy })
}

interface Stopping extends Pick<Listening, 'stopping' | 'policy' | 'reload' | 'endpoint' | 'legacySse'> {
  readonly approvals: ApprovalDesk
  readonly listeners: GatewayListeners
  readonly doors: GatewayDoors
  readonly loops: AbortController
  readonly running: readonly Promise<unknown>[]
}

/**
 * First of all that is closed: no new calls, and streams end so that the rest can drain. Whoever asks whether we are ready is
 * told that we are not for as long as that takes.
 */
async function stopServing({ settings, state }: Starting, parts: Stopping): Promise<void> {
  parts.stopping.abort()
  parts.policy.close()
  parts.approvals.close()
  const reloaded = parts.reload.close()
  parts.endpoint.endStreams()
  parts.legacySse.endStreams()
  const { main, admin, public: open } = parts.listeners
  const serving = [main, admin, ...Object.values(parts.doors.listeners)]
  await Promise.all(serving.map((listener) => listener.close(GRACE_MILLISECONDS)))
  await open.close(LAST_MILLISECONDS)
  parts.loops.abort()
  await Promise.all([...parts.running, reloaded])
  await state.record.append({ kind: 'lifecycle', body: { event: 'gateway.stop', name: settings.name } })
}

function openReload(starting: Starting, policy: ActivePolicy, changing: ChangingParts): GatewayReload {
  const { options, state, clock, onProblem } = starting
  return new GatewayReload({
    record: state.record,
    clock,
    policy,
    digest: options.digest ?? '',
    reread: options.reread ?? null,
    prepare: (reading) => prepareChange(changing, reading),
    onProblem,
  })
}

function openDetections({ state, clock, counts, options, onProblem }: Starting): GatewayDetections {
  const { identity, record } = state
  const detections = new GatewayDetections({
    trust: identity.trust,
    importP256,
    record,
    clock,
    get rates() {
      return counts.rates
    },
    send: detectionSender(identity),
    warn: (code, text) => options.report({ type: 'warning', code, text }),
    onProblem,
  })
  identity.trust.onApply((view) => detections.sightings.remember(view))
  return detections
}

async function openWitness(starting: Starting): Promise<GatewayWitness> {
  const { settings, state, options, onProblem } = starting
  const { trustDomain } = settings
  const named = new RegExp(`^${trustDomain.replaceAll('.', String.raw`\.`)}/authority(?:/[a-z0-9._-]{1,64})?$`)
  const witness = new GatewayWitness({
    ...state,
    ofAuthority: (origin) => named.test(origin),
    warn: warning(starting),
    onProblem,
  })
  await witness.begin(options.signal)
  return witness
}

/** The policy is on record before anything is decided by it. */
async function openDecisions(starting: Starting, watch: PipelineWatch, stack: AsyncDisposableStack) {
  const { settings, state, clock } = starting
  const policy = activePolicy(starting)
  await policy.start()
  const { decisions } = policy
  const { identity, witnessed: log } = state
  const { trust } = identity
  const kept = await state.keptUnder(settings.keep ?? null)
  const approvals = await openApprovals({ ...starting, warn: warning(starting) }, stack)
  const { edge: door, issuers = [] } = settings
  const edge = door === undefined ? null : await openEdgeRules({ ...settings, edge: door, issuers, trust })
  const pipeline = openPipeline({ ...settings, trust, decisions, log, kept, clock, watch, edge, approvals })
  policy.onChange((version) => void pipeline.policyChanged(version))
  return { policy, pipeline, approvals }
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

interface Listening extends Starting, EndpointParts, Endpoints {
  readonly doors: GatewayDoors
  readonly stopping: AbortController
  readonly health: () => Health
  readonly policy: ActivePolicy
  readonly reload: GatewayReload
  readonly exports: LiveExports
  readonly definitions: GatewayDefinitions
  readonly secrets: GatewaySecrets
  readonly people: PeopleGrants | null
  readonly tracing: LiveTracing
  readonly approvals: ApprovalDesk
}

async function listen(parts: Listening, stack: AsyncDisposableStack): Promise<GatewayListeners> {
  const { settings, state, pipeline, endpoint, legacySse, httpBackends, onProblem, stopping, health, policy, own } =
    parts
  const routes = gatewayRoutes({
    recordFolder: state.recordFolder,
    status: () => statusNow({ ...parts, edge: parts.doors.edge }),
    policy: policyPort(policy),
    definitions: parts.definitions.port(),
    configuration: configurationPort(parts.reload),
    metrics: own.port,
    redactions: redactionPort(state.redaction, state.record),
    hmac: (value, by) => hmacOnRecord(parts, value, by),
    grants: grantsDesk(parts.people?.grants ?? null),
    secrets: secretsDesk({ secrets: parts.secrets, record: state.record }),
    approvals: parts.approvals,
    stopping: stopping.signal,
  })
  const callerRoutes = gatewayCallerRoutes({
    recordFolder: state.recordFolder,
    verifier: verifierOf(verifierKeyOf(state)),
    sha256,
    sizes: () => state.record.stats(),
  })
  const listenerParts = {
    settings,
    limits: listenerLimits(parts.live),
    pipeline,
    endpoint,
    legacySse,
    httpBackends,
    routes,
    callerRoutes,
    traces: parts.tracing.ofApi,
    principalKeys: parts.doors.decisions?.keys ?? null,
    own,
    onProblem,
  }
  const listeners = await openGatewayListeners(
    { ...listenerParts, approvals: parts.approvals, material: state.identity.material(), ready: () => health().ready },
    stack,
    GRACE_MILLISECONDS,
  )
  collectOwn(own.metrics, { ...gatewayFacts(parts), exports: parts.exports, policy, ready: () => health().ready })
  collectListeners(own.metrics, { ...listeners, ...parts.doors.listeners })
  const { edge } = parts.doors
  if (edge !== null) collectEdge(own.metrics, edge.certificateEnds, () => state.identity.trust.now())
  collectReloads(own.metrics, parts.reload)
  collectApprovals(own.metrics, parts.approvals)
  collectCalls(own.metrics, { open: pipeline.open, sessions: parts.sessions })
  collectCircuits(own.metrics, parts.servers, parts.backends)
  return listeners
}

/** On record before it is told: whoever can ask often can guess what stands there. */
async function hmacOnRecord({ pipeline, state }: Listening, value: JsonValue, by: string): Promise<string | null> {
  const { kept } = pipeline.dependencies
  if (kept === undefined) return null
  const { record } = state
  await record.append({ kind: 'admin', body: { change: 'audit.hmac', by } })
  return kept.hmacOf(value)
}

function runningOf(
  { state }: Starting,
  { listeners, doors }: Pick<Stopping, 'listeners' | 'doors'>,
  health: () => Health,
): Omit<RunningGateway, 'stopped' | 'reload' | 'reloadPolicy'> {
  const { main, admin, public: open } = listeners
  return {
    addresses: {
      main: main.address,
      admin: admin.address,
      public: open.address,
      ...(doors.edge === null ? {} : { edge: doors.edge.listener.address }),
      ...(doors.decisions === null ? {} : { decisions: doors.decisions.listener.address }),
    },
    id: state.identity.id.uri,
    record: { origin: state.record.stats().origin, verifierKey: verifierKeyOf(state), folder: state.recordFolder },
    health,
    renew: () => state.identity.renew(),
  }
}
