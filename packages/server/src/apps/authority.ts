/**
 * The authority process: the only one that opens signing keys.
 *
 * Start-up is the normal path run from wherever the last run stopped: state, record, serials without outcome, key
 * slots, delegation, trust state, own certificate, and listeners last. Any failure closes what was opened.
 */

import { DoorwardError, formatVerifierKey, verifierKey, workloadId } from '@doorward/core'
import type { Clock } from '@doorward/core'
import type { Pipeline, TrustHolder } from '@doorward/enforcement'
import { importP256, randomBytes, sha256, systemClock, systemElapsed, systemRuntime } from '@doorward/sdk'
import type { Authority } from '../authority/authority.ts'
import type { AuthorityContext } from '../authority/context.ts'
import { CrlPublisher, defaultCrlSeconds } from '../authority/crl-publisher.ts'
import { toldKeys } from '../authority/delegation.ts'
import { detectionRate, raiseDetection } from '../authority/detection.ts'
import type { Detection } from '../authority/detection-port.ts'
import { EntryRate } from '../authority/entry-rate.ts'
import type { Fitness } from '../authority/fitness.ts'
import { voidOpenIssuance } from '../authority/issue.ts'
import type { LeaseEntry } from '../authority/lease.ts'
import { Operators } from '../authority/operators.ts'
import { isAuthorityRefusal } from '../authority/refusal.ts'
import type { AuthorityRefusal } from '../authority/refusal.ts'
import { RunningExports } from './audit-exports.ts'
import { startAuthorityDesk } from './authority-desk.ts'
import { frontCertificates, startFront } from './authority-front.ts'
import { openFitness } from './authority-fitness.ts'
import { OwnIdentity, firstCertificate } from './authority-identity.ts'
import { audiencesBy, openDecisions, operatorRules } from './authority-decisions.ts'
import { authorityFacts, collectAuthority, issuedCounter } from './authority-metrics.ts'
import { closingRefused, openListeners, updateListeners } from './authority-listeners.ts'
import type { Listeners } from './authority-listeners.ts'
import { followStore, maintain, settleKeys } from './authority-maintenance.ts'
import type { Maintenance } from './authority-maintenance.ts'
import { memoryMilliseconds } from './authority-memory.ts'
import type { Memory, OlderStore } from './authority-memory.ts'
import { ownNames, ownRegistration, placeOf } from './authority-place.ts'
import { putRight } from './authority-restore.ts'
import type { AuthorityOptions, AuthoritySettings, RunningAuthority } from './authority-settings.ts'
import { defaultKeyFile, openAuthorityState } from './authority-state.ts'
import type { AuthorityState } from './authority-state.ts'
import { openTrust } from './authority-trust.ts'
import { listed, onOther } from './authority-trust-changes.ts'
import type { OpenedTrust } from './authority-trust.ts'
import { openBelieved } from './people.ts'
import type { Believed } from './people.ts'
import { authorityWitness } from './authority-witness.ts'
import { listenTo, openWatchers } from './authority-watchers.ts'
import type { Listening, WatcherParts } from './authority-watchers.ts'
import { keepAll, RunningRetention } from './log-retention.ts'
import { collectListeners, collectOwn } from './own-gauges.ts'
import { watchLoad } from './own-load.ts'
import { OwnMetrics } from './own-metrics.ts'
import { redactionPort } from './log-redaction.ts'
import { decideWithTime } from './policy-clock.ts'
import { policyPort } from './policy-reload.ts'
import type { ActivePolicy } from './policy-reload.ts'

export type {
  AuthorityEvent,
  AuthorityOptions,
  AuthoritySettings,
  JoinInvitation,
  RunningAuthority,
} from './authority-settings.ts'

const GRACE_MILLISECONDS = 2000
/** Without three heartbeats of its own the authority is not ready. */
const READY_SECONDS = 15

/**
 * Starts an authority. Throws the codes of the state folder (`state_*`), key file (`key_*`), recovery root (`root_*`),
 * store (`store_*`), record (`record_*`), `delegation_expired`, and of the listeners (`port_in_use`, …).
 */
export async function startAuthority(
  settings: AuthoritySettings,
  options: AuthorityOptions,
): Promise<RunningAuthority> {
  await using stack = new AsyncDisposableStack()
  const clock = options.clock ?? systemClock
  const warn = (code: string, text: string) => options.report({ type: 'warning', code, text })
  const state = await openAuthorityState(settings, { clock, random: randomBytes, sha256, warn }, stack)
  const metrics = new OwnMetrics('authority')
  metrics.countEntries(state.record, issuedCounter(metrics.metrics))
  const exports = openExports({ settings, options, clock, state }, stack)
  const opened = await openFitness({
    state,
    clock,
    elapsed: options.elapsed ?? systemElapsed,
    storeVouches: settings.database !== undefined,
    afterRestore: options.afterRestore === true,
    signal: options.signal,
    onWaiting: warn,
  })
  const listening = listenTo(state.record, opened.memory, { clock, thresholds: settings.detect })
  const believed = await openBelieved(settings, clock)
  const starting = { settings, options, clock, state, metrics, exports, ...opened, listening, believed, stack }
  const running = await assemble(starting)
  const signal = AbortSignal.any([options.signal, state.lease.lost])
  return { ...running, stopped: stopOn({ ...options, signal }, stack.move()).then(() => throwIfLost(state)) }
}

/** Exports and retention: they end after whatever writes to the record, and before the record closes. */
function openExports(
  { settings, options, clock, state }: Pick<Starting, 'settings' | 'options' | 'clock' | 'state'>,
  stack: AsyncDisposableStack,
): RunningExports {
  const { exports: places = [], alerts = [], stateDir, retention = keepAll } = settings
  const warn = (code: string, text: string) => options.report({ type: 'warning', code, text })
  const exports = new RunningExports({ ...state, exports: places, alerts, stateDir, clock, warn })
  stack.defer(() => exports.stop())
  const keepMilliseconds = memoryMilliseconds
  const expiring = new RunningRetention({ ...state, settings: retention, exports, keepMilliseconds, clock, warn })
  stack.defer(() => expiring.stop())
  return exports
}

/** Whoever has lost the lease has ended, and says so. */
function throwIfLost({ lease, name }: AuthorityState): void {
  if (!lease.lost.aborted) return
  throw new DoorwardError('lease_lost', 'another process acts as this authority', {
    where: name,
    next: 'stop one of the two; each authority needs a state folder of its own',
  })
}

async function stopOn({ signal, report }: AuthorityOptions, stack: AsyncDisposableStack): Promise<void> {
  if (!signal.aborted)
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
  try {
    await stack.disposeAsync()
  } catch (error) {
    report({ type: 'problem', error })
  }
}

interface Starting {
  readonly settings: AuthoritySettings
  readonly options: AuthorityOptions
  readonly clock: Clock
  readonly state: AuthorityState
  readonly metrics: OwnMetrics
  readonly exports: RunningExports
  readonly fitness: Fitness
  readonly memory: Memory
  readonly older: OlderStore | null
  readonly listening: Listening
  readonly believed: Believed
  readonly stack: AsyncDisposableStack
}

/** A trust state that is applied reaches the listeners at once, so the own certificate comes before them and they before the loops. */
async function assemble(starting: Starting): Promise<Omit<RunningAuthority, 'stopped'>> {
  const { settings, options, clock, state, stack } = starting
  const context = contextOf(starting)
  const bound = { enrolAddress: '', settleKeys: () => Promise.resolve(false), allows: settings.allowedAudience }
  const issuer = settings.publicUrl
  const allowedAudience = (audience: string) => audience === issuer || bound.allows(audience)
  const trust = await openTrust({
    context,
    state,
    clock,
    issuer,
    allowedAudience,
    outsideAudience: (audience) => settings.jwtSvidAudiences?.includes(audience) === true,
    enrolAddress: () => bound.enrolAddress,
    settleKeys: () => bound.settleKeys(),
    floor: await beginRun(starting, context),
    signal: options.signal,
    onWaiting: (thumbprint) => warnOfWaiting(starting, thumbprint),
  })
  const { authority, publisher, holder } = trust
  if (publisher.delegation.due) warnOfDelegation(starting)
  const own = new OwnIdentity({ authority, clock, names: ownNames(settings), chance: systemRuntime.chance })
  expectAllowed(await authority.ensureRegistration(ownRegistration(settings), 'authority'))
  await firstCertificate(own, context, trust)
  const watchers = watchersOf(starting, { context, trust, settleKeys: () => bound.settleKeys() })
  const { policy, pipeline } = await openDecisions(starting, holder, starting.metrics.watching(watchers.detections))
  bound.allows = audiencesBy(policy, settings)
  const loops = startedLoops(stack, state)
  const crls = new CrlPublisher({ context, lifetimeSeconds: settings.crlSeconds ?? defaultCrlSeconds })
  const listeners = await listen(starting, { context, authority, holder, own, pipeline, crls, policy })
  const place = placeOf(state.name, settings, listeners)
  bound.enrolAddress = place.enrol
  await state.folder.complete()
  const described = describe(starting, authority, listeners)
  const maintenance = maintenanceOf(starting, {
    context,
    trust,
    crls,
    own,
    place,
    log: described.record,
    onOwnCertificate: () => updateListeners(listeners, own.material()),
    onProblem: watchers.onProblem,
  })
  bound.settleKeys = () => settleKeys(maintenance)
  await goOn(maintenance, trust, stack)
  for (const loop of [maintain, followStore]) loops.start((signal) => loop(maintenance, signal))
  loops.start((signal) => watchLoad(starting.metrics.metrics, pipeline, signal))
  loops.start((signal) => decideWithTime({ policy, pipeline }, signal))
  for (const one of [watchers.watch, pipeline.dependencies.refusals]) loops.start((signal) => one.run(signal))
  const certificates = await frontCertificates({ ...starting, context, pipeline })
  await startAuthorityDesk({ ...starting, ...watchers, context, own, certificates, policy }, loops)
  return {
    ...described,
    ...(await startFront({ ...starting, context, authority, slots: trust.slots, pipeline, certificates }, loops)),
    operators: new Operators({ context, authority, rules: operatorRules(policy) }),
    reloadPolicy: (by) => policy.reload(by),
    renew: () => own.renew().then(maintenance.onOwnCertificate),
  }
}

function watchersOf(
  { settings, options, state, fitness, memory, listening }: Starting,
  parts: Pick<WatcherParts, 'context' | 'trust' | 'settleKeys'>,
) {
  return openWatchers({
    ...parts,
    fitness,
    memory,
    rate: listening.rate,
    files: { ...settings, keyFile: settings.keyFile ?? defaultKeyFile(settings), rootFile: state.rootFile },
    pauseMilliseconds: options.lookMilliseconds,
    thresholds: settings.detections,
    report: (error) => options.report({ type: 'problem', error }),
  })
}

/**
 * The others hear where we are, and lists of what is refused are there before the loops. A recovery may have left this
 * authority out since it began to start.
 */
async function goOn(
  maintenance: Maintenance,
  { holder, onceDelegated }: Pick<OpenedTrust, 'holder' | 'onceDelegated'>,
  stack: AsyncDisposableStack,
): Promise<void> {
  const { lease, entry, publisher, crls, onProblem } = maintenance
  await lease.renew(await entry())
  await onceDelegated(() => publisher.publish())
  await crls.refresh()
  // A list follows what it lists at once.
  stack.defer(holder.onApply(onOther(listed, () => void crls.refresh().catch(onProblem))))
}

interface Kept extends Pick<Maintenance, 'context' | 'crls' | 'own' | 'onOwnCertificate' | 'onProblem'> {
  readonly trust: OpenedTrust
  readonly place: LeaseEntry['place']
  readonly log: LeaseEntry['log']
}

function maintenanceOf(starting: Starting, { trust, place, log, ...kept }: Kept): Maintenance {
  const { settings, state, fitness } = starting
  const { context } = kept
  return {
    ...trust,
    ...kept,
    lease: state.lease,
    fitness,
    entry: async () => ({ place, log, ...(await toldKeys(context, trust.publisher.delegation.key)) }),
    staleness: settings.staleness,
    onDelegationDue: () => warnOfDelegation(starting),
    onUnnamed: (thumbprint) => warnOfWaiting(starting, thumbprint),
    toldOf: { delegation: trust.publisher.delegation.stored.version },
  }
}

/**
 * Whatever the last run left without outcome is voided before anything is published, and a store that was put back put
 * right. After which sequence trust states come.
 */
async function beginRun({ state, options, older }: Starting, context: AuthorityContext): Promise<number> {
  await state.record.append({ kind: 'lifecycle', body: { event: 'authority.start' } })
  const warn = (code: string, text: string) => options.report({ type: 'warning', code, text })
  const floor = older === null ? 0 : await putRight(context, { recordFolder: state.recordFolder, older, warn })
  const voided = await voidOpenIssuance(context)
  const text = `${voided} certificates were being issued when the authority stopped; their serials are denied`
  if (voided > 0) warn('issuance_voided', text)
  return floor
}

function contextOf({ settings, options, clock, state, fitness, listening, believed }: Starting): AuthorityContext {
  const { trustDomain } = settings
  return {
    trustDomain,
    id: workloadId(trustDomain, 'doorward', 'authority'),
    instance: state.folder.stateId,
    name: state.name,
    store: state.store,
    custody: state.custody,
    log: listening.log,
    detections: {
      rate: new EntryRate(detectionRate),
      tell: (detection) => options.report({ type: 'detection', detection }),
    },
    ...believed,
    clock,
    random: randomBytes,
    sha256,
    importP256,
    unfit: () => fitness.unfit(),
  }
}

interface Loops {
  start(run: (signal: AbortSignal) => Promise<void>): void
}

/** Loops end after the listeners have closed, so that nothing which a last request leaves behind is lost. */
function startedLoops(stack: AsyncDisposableStack, { record }: AuthorityState): Loops {
  const ending = new AbortController()
  const running: Promise<void>[] = []
  stack.defer(async () => {
    ending.abort()
    await Promise.all(running)
    await record.append({ kind: 'lifecycle', body: { event: 'authority.stop' } })
  })
  return { start: (run) => void running.push(run(ending.signal)) }
}

interface Serving {
  readonly context: AuthorityContext
  readonly authority: Authority
  readonly holder: TrustHolder
  readonly own: OwnIdentity
  readonly pipeline: Pipeline
  readonly crls: CrlPublisher
  readonly policy: ActivePolicy
}

async function listen(starting: Starting, serving: Serving): Promise<Listeners> {
  const { settings, options, clock, state, stack, metrics } = starting
  const { context, authority, holder, own, pipeline, crls, policy } = serving
  const raise = (detection: Detection) => raiseDetection(context, detection)
  const { cipherSuites, headers, listenerLimits: limits = {}, proxies } = settings.security
  const stopping = new AbortController()
  const parts = {
    settings: { ...settings, cipherSuites, headers, limits, ...(proxies === undefined ? {} : { proxies }) },
    authority,
    crls,
    pipeline,
    material: own.material(),
    clock,
    sha256,
    recordFolder: state.recordFolder,
    policy: policyPort(policy),
    redactions: redactionPort(state.redaction, state.record),
    witness: authorityWitness({ ...state, fitness: starting.fitness, raise }),
    stopping: stopping.signal,
    ready: () => holder.ageSeconds() <= READY_SECONDS && state.record.stats().state === 'open',
    metrics,
    onProblem: (error: unknown) => options.report({ type: 'problem', error }),
  }
  const listeners = await openListeners(parts, stack, GRACE_MILLISECONDS)
  collectOwn(metrics.metrics, {
    ...authorityFacts({ state, holder, own, clock, staleness: settings.staleness }),
    exports: starting.exports,
    policy,
    ready: parts.ready,
  })
  collectListeners(metrics.metrics, listeners)
  collectAuthority(metrics.metrics, authority, { clock })
  const close = closingRefused(listeners, pipeline)
  const stop = holder.onApply((view) => {
    if (view.keyGeneration === view.generation) updateListeners(listeners, own.material())
    close()
  })
  stack.defer(() => {
    stop()
    stopping.abort()
    policy.close()
  })
  return listeners
}

function describe(
  { state }: Starting,
  authority: Authority,
  listeners: Listeners,
): Omit<RunningAuthority, 'stopped' | 'renew' | 'operators' | 'reloadPolicy' | 'front'> {
  const { rootFile, rootFingerprint, root, record, logKey, founds } = state
  const { origin } = record.stats()
  return {
    addresses: {
      main: listeners.main.address,
      admin: listeners.admin.address,
      enrol: listeners.enrol.address,
      public: listeners.public.address,
    },
    rootFingerprint,
    recoveryRoot: { path: rootFile, present: root !== null, created: founds },
    record: { origin, verifierKey: formatVerifierKey(verifierKey(sha256, origin, logKey.publicKey)) },
    async registerWorkload(registration, by) {
      expectAllowed(await authority.ensureRegistration(registration, by))
    },
    createJoinString: async (id, by) => expectAllowed(await authority.createJoinString(id, by)),
  }
}

function expectAllowed<T extends object>(result: T | AuthorityRefusal): T {
  if (!isAuthorityRefusal(result)) return result
  throw new DoorwardError(result.code, result.explanation)
}

function warnOfWaiting({ options, state }: Starting, thumbprint: string): void {
  const text = `authority ${state.name} waits until the recovery root names its key ${thumbprint}: run doorward authority delegate where the root is, and compare`
  options.report({ type: 'warning', code: 'delegation_wanted', text })
}

function warnOfDelegation({ options, state }: Starting): void {
  const text = `the delegation of the trust-state key ends soon and the recovery root is not at ${state.rootFile}: bring it there before nothing can be published any more`
  options.report({ type: 'warning', code: 'delegation_due', text })
}
