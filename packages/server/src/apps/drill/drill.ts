/**
 * The rehearsal of a compromise, by the code of the real one: a forger with the stolen keys, a recovery, planned rotations
 * under calls, each step timed and held against its bar (identity reference, the compromise drill).
 */

import { constants } from 'node:fs'
import { access, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DoorwardError, verifierKey } from '@doorward/core'
import { aesGcmSealer, randomBytes, readKeyFile, sha256, timerSleep } from '@doorward/sdk'
import type { CeremonyView } from '@doorward/sdk'
import { KeyCustody } from '../../secrets/key-custody.ts'
import { openLogKey } from '../log-key.ts'
import { recover } from '../recovery.ts'
import type { RecoveryOutcome } from '../recovery.ts'
import { Crowd } from './crowd.ts'
import type { CrowdMember } from './crowd-messages.ts'
import { operatorId, startDomain } from './domain.ts'
import type { DrillDomain } from './domain.ts'
import { startEchoServer } from './echo-server.ts'
import type { EchoServer } from './echo-server.ts'
import { stealFrom } from './forger.ts'
import type { Forger } from './forger.ts'
import { isRefusedEverywhere, tryAgain, tryEveryDoor } from './forgery.ts'
import type { Forgery } from './forgery.ts'
import { callerRole, drillDomain, planDrill } from './plan.ts'
import type { DrillPlan } from './plan.ts'
import { counted, share, signDrillReport } from './report.ts'
import type { DrillReport, DrillStep } from './report.ts'
import { rotateUnderCalls } from './rotation.ts'

export interface DrillOptions {
  readonly workloads: number
  readonly authorities: number
  readonly gateways: number
  /** The section `authority.database`; null for SQLite and one authority. */
  readonly database: unknown
  readonly emergency: boolean
  readonly rotations: number
  /** Calls across all rotations. */
  readonly calls: number
  readonly program: readonly string[]
  readonly environment: Readonly<Record<string, string>>
  readonly signal: AbortSignal
  readonly onStep: (step: DrillStep) => void
  /** What goes on right now, for people. */
  readonly onProgress: (text: string) => void
}

export interface DrillOutcome {
  readonly report: DrillReport
  /** The report as a signed note, and the key that it verifies with. */
  readonly note: string
}

/** Everything of one drill. */
interface Scene {
  readonly options: DrillOptions
  readonly domain: DrillDomain
  readonly echo: EchoServer
  readonly crowd: Crowd
  readonly forger: Forger
  readonly steps: DrillStep[]
}

/** Of each workload; of all together no more than 50 in a second, beside whose work the recovery can still be measured. */
const traffic = { everyMilliseconds: 10_000, perWorkload: 20 }
const crowdProcesses = 2
const inviting = 32
const lookMilliseconds = 100
const quietMilliseconds = 1000
const bars = {
  alarmMilliseconds: 5000,
  reissueMilliseconds: 30_000,
  refusedMilliseconds: 5000,
  acknowledgedMilliseconds: 5000,
  reportMilliseconds: 60_000,
  backMilliseconds: 10_000,
}

/** Throws `drill_size`, `drill_crowd`, `drill_admission`, `aborted`, and what the parts throw. Leaves nothing behind. */
export async function drill(options: DrillOptions): Promise<DrillOutcome> {
  await using stack = new AsyncDisposableStack()
  const root = await mkdtemp(join(tmpdir(), 'doorward-drill-'))
  stack.defer(() => rm(root, { recursive: true, force: true }))
  const echo = await startEchoServer()
  stack.defer(() => echo.close())
  const { authorities, gateways, database, program, environment, onProgress } = options
  const plan = await planDrill({ root, authorities, gateways, database, echoPort: echo.port })
  const onStarted = (what: string) => onProgress(`${what} serves`)
  const domain = await startDomain({ plan, program, environment, onStarted })
  stack.defer(() => domain.stop())
  const homes = await mkdtemp(join(await memoryFolder(), 'doorward-drill-crowd-'))
  stack.defer(() => rm(homes, { recursive: true, force: true }))
  const crowd = await gather(options, domain, homes)
  stack.defer(() => crowd.stop())
  const [first] = plan.authorities
  if (first === undefined) throw new DoorwardError('drill_size', 'a drill needs an authority')
  const forger = await stealFrom(first, plan.authorityUrl)
  const scene: Scene = { options, domain, echo, crowd, forger, steps: [] }
  crowd.traffic(Math.max(traffic.everyMilliseconds, traffic.perWorkload * options.workloads))
  await rehearse(scene)
  crowd.traffic(null)
  await untilQuiet(echo)
  await rotateUnderCalls({ ...scene, record: (step) => record(scene, step) })
  const report = reportOf(options, scene.steps)
  return { report, note: await signed(report, plan) }
}

/** Calls that were under way are counted with what they belong to. */
async function untilQuiet(echo: EchoServer): Promise<void> {
  for (let before = -1, now = await echo.calls(); before !== now; now = await echo.calls()) {
    before = now
    await timerSleep(quietMilliseconds)
  }
}

/** A thousand machines do not wait for one disk: what they keep lies in memory where the system has a place for it. */
async function memoryFolder(): Promise<string> {
  const folder = '/dev/shm'
  const usable = await access(folder, constants.W_OK).then(
    () => true,
    () => false,
  )
  return usable ? folder : tmpdir()
}

/** Registers and invites everybody, and waits until all are in. */
async function gather(
  { workloads, onProgress, signal }: DrillOptions,
  domain: DrillDomain,
  folder: string,
): Promise<Crowd> {
  const { admin, plan } = domain
  const members: CrowdMember[] = []
  const ids = Array.from({ length: workloads }, (_, i) => `spiffe://${drillDomain}/agent/${i}`)
  const one = async () => {
    for (let id = ids.shift(); id !== undefined && !signal.aborted; id = ids.shift()) {
      await admin.addWorkload(id, [callerRole])
      members.push({ id, joinString: (await admin.invite(id)).joinString.reveal() })
      onProgress(`${members.length} of ${workloads} registered`)
    }
  }
  await Promise.all(Array.from({ length: inviting }, one))
  throwIfAborted(signal)
  return Crowd.start({
    folder,
    processes: Math.min(crowdProcesses, workloads),
    members,
    gateways: domain.gateways,
    authorityUrl: plan.authorityUrl,
    onJoined: (count) => onProgress(`${count} of ${workloads} joined`),
  })
}

async function rehearse(scene: Scene): Promise<void> {
  const { options, crowd } = scene
  await timerSleep(2000, options.signal)
  const forgery = await forge(scene)
  await poisonBefore(scene)
  await crowd.look()
  const outcome = await recoverAll(scene, forgery)
  await everyoneIsBack(scene, outcome)
  await poisonAfter(scene)
}

function record({ steps, options }: Pick<Scene, 'steps' | 'options'>, step: DrillStep): void {
  throwIfAborted(options.signal)
  steps.push(step)
  options.onStep(step)
}

function throwIfAborted(signal: AbortSignal): void {
  if (signal.aborted) throw new DoorwardError('aborted', 'the drill was stopped')
}

/** Step 0: the first use of a forged credential is refused, and somebody hears of it. */
async function forge(scene: Scene): Promise<Forgery> {
  const { domain, forger } = scene
  const started = performance.now()
  const alarm = untilAlarmed(scene, started)
  const forgery = await tryEveryDoor(forger, operatorId, domain.targets, 1)
  const tried = performance.now() - started
  const { attempts } = forgery
  record(scene, {
    step: 'forged administrator: certificate and token at every listener',
    bar: 'refused at first use',
    measured: `${attempts.filter(({ refused }) => refused).length} of ${attempts.length} refused: ${counted(attempts.map(({ code }) => code))}`,
    milliseconds: tried,
    passed: attempts.every(({ refused }) => refused),
  })
  const alarmed = await alarm
  record(scene, {
    step: 'alarm DT-1',
    bar: `within ${bars.alarmMilliseconds / 1000} s of the first use`,
    measured: alarmed === null ? 'none' : `after ${seconds(alarmed)}`,
    milliseconds: alarmed ?? 0,
    passed: alarmed !== null && alarmed <= bars.alarmMilliseconds,
  })
  return forgery
}

/** Milliseconds since the first forged request; null when nothing came. */
async function untilAlarmed({ domain }: Scene, since: number): Promise<number | null> {
  while (performance.now() - since < 2 * bars.alarmMilliseconds) {
    const { alarms } = await domain.admin.status()
    if (Array.isArray(alarms) && JSON.stringify(alarms).includes('"DT-1"')) return performance.now() - since
    await timerSleep(lookMilliseconds)
  }
  return null
}

/** Step 1: what issuing keys sign is no trust state. */
async function poisonBefore(scene: Scene): Promise<void> {
  const messages = (await scene.forger.poison(await genuineState(scene.domain))).slice(0, 2)
  await poison(scene, 'poisoned trust state, signed by the stolen anchor and token keys', messages)
}

/** After the recovery the old key for trust state is one more stolen key. */
async function poisonAfter(scene: Scene): Promise<void> {
  const messages = await scene.forger.poison(await genuineState(scene.domain))
  await poison(scene, 'poisoned trust state, signed by every key of before', messages)
}

async function poison(scene: Scene, step: string, messages: readonly string[]): Promise<void> {
  const started = performance.now()
  const { accepted, refused } = await scene.crowd.poison(messages)
  const codes = Object.entries(refused).map(([code, times]) => `${code} ${times}`)
  record(scene, {
    step,
    bar: 'accepted by nobody',
    measured: `${accepted} accepted; ${codes.join(', ')}`,
    milliseconds: performance.now() - started,
    passed: accepted === 0,
  })
}

async function genuineState({ operator, plan }: DrillDomain): Promise<string> {
  const response = await operator.call(`${plan.authorityUrl}/v1/trust-state`, {
    audience: plan.authorityUrl,
    expectedId: operator.authorityId,
  })
  let text = ''
  for await (const part of response.body as AsyncIterable<Buffer>) text += part.toString('utf8')
  return text.trim()
}

/** Steps 2 to 5, by the code that a real incident runs. */
async function recoverAll(scene: Scene, forgery: Forgery): Promise<RecoveryOutcome> {
  const { domain, options } = scene
  const { operator, admin, signer, targets } = domain
  const before = operator.credentials.current()
  const started = performance.now()
  const refusing: Promise<number>[] = []
  const outcome = await recover({
    identity: operator,
    admin,
    signer,
    targets,
    resume: false,
    wanted: { reason: 'drill', emergency: options.emergency },
    signal: options.signal,
    onLook: (ceremony) => {
      options.onProgress(`recovery: ${ceremony.stage}`)
      const denied = atOf(ceremony, 'settle')
      if (denied !== null && refusing.length === 0) refusing.push(untilRefused(scene, before, denied))
    },
  })
  const milliseconds = performance.now() - started
  recordStages(scene, outcome)
  const [refused = Number.POSITIVE_INFINITY] = await Promise.all(refusing)
  record(scene, {
    step: 'credentials of the old authority, new connections to every listener',
    bar: `refused within ${bars.refusedMilliseconds / 1000} s of the denial`,
    measured: `after ${seconds(refused)}`,
    milliseconds: refused,
    passed: refused <= bars.refusedMilliseconds,
  })
  const again = await tryAgain(forgery.open)
  record(scene, {
    step: 'connections that the forger had open',
    bar: 'closed or refused',
    measured: counted(again.map(({ code }) => code)) || 'none was left open',
    milliseconds: 0,
    passed: again.every((attempt) => attempt.refused),
  })
  const { probes } = outcome
  record(scene, {
    step: 'proof: certificates, tokens, open connections and resumption by the old keys',
    bar: `100 % refused, report within ${bars.reportMilliseconds / 1000} s`,
    measured: `${probes.filter(({ ok }) => ok).length} of ${probes.length} as they must, ${outcome.verdict}, after ${seconds(milliseconds)}`,
    milliseconds,
    passed: outcome.verdict === 'proven' && outcome.report !== null && milliseconds <= bars.reportMilliseconds,
  })
  return outcome
}

function atOf({ stages }: CeremonyView, stage: string): number | null {
  return stages.findLast((step) => step.stage === stage)?.at ?? null
}

async function untilRefused(
  { domain, options }: Scene,
  before: Parameters<typeof isRefusedEverywhere>[1],
  since: number,
): Promise<number> {
  while (!options.signal.aborted && Date.now() - since < 12 * bars.refusedMilliseconds) {
    if (await isRefusedEverywhere(domain.targets, before)) return Date.now() - since
    await timerSleep(lookMilliseconds)
  }
  return Number.POSITIVE_INFINITY
}

function recordStages(scene: Scene, { ceremony }: RecoveryOutcome): void {
  const { stages } = ceremony
  for (const [i, { stage, at, followers, acknowledged, straggling }] of stages.entries()) {
    const next = stages[i + 1]
    if (next === undefined) return
    const milliseconds = next.at - at
    const acknowledges = stage === 'publish' || stage === 'settle'
    record(scene, {
      step: `recovery: ${stage}`,
      bar: acknowledges ? `everyone within ${bars.acknowledgedMilliseconds / 1000} s, the rest listed` : '',
      measured: `${seconds(milliseconds)}${acknowledges ? `, ${acknowledged} of ${followers} acknowledged, ${straggling} listed` : ''}`,
      milliseconds,
      // The proof is made in the last stage, and has its own bar.
      passed: stage !== 'publish' || milliseconds <= bars.acknowledgedMilliseconds + 1000,
    })
  }
}

/** Steps 3 and 8: everyone legitimate has a new certificate, and nobody was kept waiting. */
async function everyoneIsBack(scene: Scene, { ceremony }: RecoveryOutcome): Promise<void> {
  const { options, crowd } = scene
  const from = atOf(ceremony, options.emergency ? 'deny' : 'reissue') ?? ceremony.startedAt
  const isNew = ({ anchor }: { readonly anchor: string }) => !ceremony.replaces.includes(anchor)
  let looked = await crowd.look()
  const tallies = [looked.tally]
  for (const end = Date.now() + bars.reissueMilliseconds; !looked.members.every(isNew) && Date.now() < end;) {
    await timerSleep(lookMilliseconds)
    looked = await crowd.look()
    tallies.push(looked.tally)
  }
  const took = looked.members.filter(isNew).map(({ since }) => Math.max(0, since - from))
  record(scene, {
    step: 'everyone legitimate has a certificate of the new authority',
    bar: `${options.workloads} within ${bars.reissueMilliseconds / 1000} s (p99)`,
    measured: `${took.length} of ${options.workloads}, p50 ${seconds(share(took, 0.5))}, p99 ${seconds(share(took, 0.99))}, last ${seconds(share(took, 1))}`,
    milliseconds: share(took, 0.99),
    passed: took.length === options.workloads && share(took, 0.99) <= bars.reissueMilliseconds,
  })
  const failed = tallies.reduce((sum, tally) => sum + tally.failed, 0)
  const succeeded = tallies.reduce((sum, tally) => sum + tally.succeeded, 0)
  const codes = tallies.flatMap((tally) => Object.entries(tally.codes).map(([code, times]) => `${code} ${times}`))
  record(scene, {
    step: 'calls of everyone legitimate meanwhile',
    bar: options.emergency ? 'back within 10 s' : '0 failed',
    measured: `${succeeded} succeeded, ${failed} failed${codes.length === 0 ? '' : `: ${codes.join(', ')}`}`,
    milliseconds: 0,
    passed: options.emergency || failed === 0,
  })
}

function reportOf(
  { workloads, authorities, gateways, database, emergency }: DrillOptions,
  steps: readonly DrillStep[],
): DrillReport {
  const store = database === null ? 'sqlite' : 'postgres'
  const passed = steps.every((step) => step.passed)
  return { workloads, authorities, gateways, store, emergency, steps, passed }
}

/** By the key of the first authority's log, as every report of a recovery. */
async function signed(report: DrillReport, { authorities }: DrillPlan): Promise<string> {
  const [first] = authorities
  if (first === undefined) throw new DoorwardError('drill_size', 'a drill needs an authority')
  const folder = join(first.stateDir, 'authority')
  const marker = JSON.parse(await readFile(join(folder, 'state.json'), 'utf8')) as { readonly state_id: string }
  const place = { path: join(first.keyDir, 'authority.key'), outsideOf: [first.stateDir], stateId: marker.state_id }
  const key = await openLogKey(
    new KeyCustody(join(folder, 'keys'), aesGcmSealer(await readKeyFile(place), randomBytes)),
    true,
  )
  const name = `${drillDomain}/authority/${first.name}`
  const { keyId } = verifierKey(sha256, name, key.publicKey)
  return signDrillReport(report, { name, keyId, key: key.sign })
}

export function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(1)} s`
}
