/** `sidecar run`: one identity beside one program, that lets calls in and out. */

import { DoorwardError } from '@doorward/core'
import type { OpenRecord } from '@doorward/sdk'
import { connect, openRecordOf, systemRuntime } from '@doorward/sdk'
import type { ConnectedIdentity, ProtectedServer, Runtime } from '@doorward/sdk'
import type { Environment } from '../../config/environment.ts'
import type { InboundSettings, LocalPlace, OutboundSettings, SidecarSettings } from '../../config/sidecar-file.ts'
import { refusalWatch } from '../credential-standing.ts'
import { systemPeers } from '../workload-api/peer-credentials.ts'
import type { PeerSource } from '../workload-api/peer-credentials.ts'
import { Assertions } from './assertions.ts'
import type { RefusedCall, SidecarEvent } from './events.ts'
import { giveIdentity } from './given-identity.ts'
import { openInbound } from './inbound.ts'
import type { InboundParts } from './inbound.ts'
import { callerJudge } from './local-callers.ts'
import { openOutbound, staleSeconds } from './outbound.ts'
import type { OutboundListener } from './outbound.ts'
import { openMetricsPort, openOwnSocket } from './own-socket.ts'
import type { OwnAnswers } from './own-socket.ts'
import { programAt } from './program.ts'
import { SidecarNumbers } from './sidecar-numbers.ts'
import { timeThatGoesOn } from './time-that-goes-on.ts'
import { ToldQuietly } from '../told-quietly.ts'

export interface SidecarOptions {
  readonly settings: SidecarSettings
  readonly environment: Pick<Environment, 'variable'>
  readonly report: (event: SidecarEvent) => void
  readonly signal: AbortSignal
  /** The kernel, by default. */
  readonly peers?: PeerSource
  /** The machine's, by default. */
  readonly runtime?: Runtime
}

interface Opened {
  readonly options: SidecarOptions
  readonly identity: ConnectedIdentity
  readonly record: OpenRecord
  readonly peers: PeerSource | null
  readonly ownUid: number
  readonly onProblem: (error: unknown) => void
  readonly quiet: ToldQuietly<RefusedCall>
  readonly enters: InboundParts['enters']
  /** What ends both directions at once: takes nothing more, and lets what is under way end for a while. */
  readonly ends: (() => Promise<void>)[]
}

/**
 * Serves until the signal aborts; then takes nothing more, and lets what is under way end. Throws the codes of `connect`,
 * `openRecordOf`, `protect`, `openOutbound` and `listenForAll`; `trust_domain_other`, `platform_unsupported` and
 * `peer_credentials_missing`.
 */
export async function runSidecar(options: SidecarOptions): Promise<void> {
  await using sidecar = await startSidecar(options)
  await until(options.signal)
  await sidecar.stop()
}

function until(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

export interface Sidecar extends AsyncDisposable {
  readonly identity: ConnectedIdentity
  /** Takes nothing more, and lets what is under way end. */
  stop(): Promise<void>
}

/** Resolves when it serves. Throws as `runSidecar`. */
export async function startSidecar(options: SidecarOptions): Promise<Sidecar> {
  const { settings, report } = options
  const onProblem = (error: unknown) => report({ type: 'problem', error })
  const ownUid = ownUser()
  const peers = needsPeers(settings) ? (options.peers ?? (await systemPeers())) : null
  await using stack = new AsyncDisposableStack()
  const own: { identity: ConnectedIdentity | null } = { identity: null }
  const watch = refusalWatch(() => own.identity?.identity.credentials.peek() ?? null)
  const identity = await openOwnIdentity(options, (error) => {
    watch.hear(error)
    onProblem(error)
  })
  own.identity = identity
  stack.use(identity)
  const record = stack.use(await openRecordOf(identity, settings.record))
  const quiet = new ToldQuietly<RefusedCall>({
    kindOf: ({ code, to, reason }) => `${code} ${to} ${reason}`,
    othersOf: () => 'others',
    report: (event, count) => report({ ...event, count }),
  })
  stack.defer(() => quiet.close())
  let stopping = false
  const ready = () => !stopping && identity.identity.isUsable() && identity.identity.trust.ageSeconds() <= staleSeconds
  const numbers = new SidecarNumbers({ identity, record, runtime: options.runtime ?? systemRuntime, ready })
  const ends: (() => Promise<void>)[] = []
  const opened: Opened = { options, identity, record, peers, ownUid, onProblem, quiet, enters: numbers.enters, ends }
  const note = (event: string) => record.log.append({ kind: 'lifecycle', body: { event, id: identity.id.uri } })
  await note('sidecar.start')
  stack.defer(async () => void (await note('sidecar.stop').catch(onProblem)))
  // While calls end, the socket goes on to say that nothing more is taken.
  let ownSocket: { close(): Promise<void> } | null = null
  stack.defer(async () => ownSocket?.close())
  stack.defer(() => ended(opened))
  const outbound = await openOut(opened)
  if (settings.workloadApi !== null && peers !== null) {
    const given = { settings: settings.workloadApi, identity, watch, record, peers, report, onProblem }
    const giving = await giveIdentity(given)
    ends.push(() => giving.close())
  }
  const { inbound, assertions } = await openIn(opened)
  numbers.serves(
    inbound?.address ?? null,
    outbound.map((one, i) => ({ ...one, ...peerOf(settings.outbound[i]) })),
  )
  ownSocket = await openOwn(opened, numbers, { ready, jwks: () => assertions?.jwks ?? null })
  report({
    type: 'ready',
    id: identity.id.uri,
    record: record.log.stats().origin,
    inbound: inbound?.address ?? null,
    outbound: outbound.map(({ at }, i) => ({ at, ...peerOf(settings.outbound[i]) })),
  })
  const kept = stack.move()
  const stop = async () => {
    stopping = true
    await kept.disposeAsync()
  }
  return { identity, stop, [Symbol.asyncDispose]: stop }
}

/** What it says of itself, where it says so. */
async function openOwn(
  { options: { settings }, ends, onProblem }: Opened,
  numbers: SidecarNumbers,
  answers: Pick<OwnAnswers, 'ready' | 'jwks'>,
): Promise<{ close(): Promise<void> } | null> {
  const { socket, metricsPort } = settings
  if (metricsPort !== null) {
    const open = await openMetricsPort(metricsPort, () => numbers.metrics(), onProblem)
    ends.push(() => open.close())
  }
  if (socket === null) return null
  return openOwnSocket(socket, { ...answers, status: () => JSON.stringify(numbers.status()) }, onProblem)
}

/** One that fails to end does not keep the others from it. */
async function ended({ ends, onProblem }: Opened): Promise<void> {
  const results = await Promise.allSettled(ends.map((end) => end()))
  for (const result of results) if (result.status === 'rejected') onProblem(result.reason)
}

function peerOf(settings: OutboundSettings | undefined): { readonly to: string; readonly id: string } {
  return { to: settings?.to ?? '', id: settings?.id ?? '' }
}

/** Throws `platform_unsupported`. */
function ownUser(): number {
  const uid = process.getuid?.()
  if (uid !== undefined && process.platform === 'linux') return uid
  throw new DoorwardError('platform_unsupported', 'nothing here tells whose a local connection is', {
    expected: 'Linux',
    got: process.platform,
  })
}

/** Whose a connection over a Unix socket is only the kernel knows. */
function needsPeers({ inbound, outbound, workloadApi }: SidecarSettings): boolean {
  const places: readonly LocalPlace[] = [
    ...(inbound === null ? [] : [inbound.forward.place]),
    ...outbound.filter(({ callers }) => callers.kind !== 'anybody').map(({ place }) => place),
  ]
  return workloadApi !== null || places.some((place) => 'socket' in place)
}

async function openOwnIdentity(
  { settings, environment, signal, runtime }: SidecarOptions,
  onProblem: (error: unknown) => void,
): Promise<ConnectedIdentity> {
  const { folder, key, join } = settings.identity
  const variable = join !== null && 'env' in join ? join.env : null
  const identity = await connect({
    folder,
    key,
    ...(join === null ? {} : { join }),
    ...(variable === null ? {} : { environment: { [variable]: environment.variable(variable) } }),
    callee: settings.inbound !== null,
    onProblem,
    signal,
    ...(runtime === undefined ? {} : { runtime }),
  })
  if (identity.trustDomain === settings.trustDomain) return identity
  await identity.close()
  throw new DoorwardError('trust_domain_other', 'the identity is of another trust domain than the configuration', {
    where: folder,
    expected: settings.trustDomain,
    got: identity.trustDomain,
  })
}

async function openIn(
  opened: Opened,
): Promise<{ readonly inbound: ProtectedServer | null; readonly assertions: Assertions | null }> {
  const { options, identity, record, enters, onProblem, ends } = opened
  const settings: InboundSettings | null = options.settings.inbound
  if (settings === null) return { inbound: null, assertions: null }
  const clock = timeThatGoesOn(options.runtime ?? systemRuntime, (ahead) => options.report(assertsAhead(ahead)))
  const { audience, jwksFile } = settings.assertion
  const assertions = await Assertions.open({ issuer: identity.id, audience, clock })
  if (jwksFile !== null) await assertions.write(jwksFile)
  const program = programAt(settings.forward.place, settings.forward.uid ?? opened.ownUid, opened.peers)
  const inbound = await openInbound({ settings, identity, record, assertions, program, enters, onProblem })
  ends.push(() => inbound.close().finally(() => program.close()))
  return { inbound, assertions }
}

async function openOut({
  options,
  identity,
  record,
  peers,
  ownUid,
  onProblem,
  quiet,
  ends,
}: Opened): Promise<readonly OutboundListener[]> {
  const { report, settings } = options
  const listeners: OutboundListener[] = []
  for (const one of settings.outbound) {
    const { callers, place } = one
    if (callers.kind === 'anybody') report(openToAll(one))
    const port = 'port' in place ? place.port : null
    const listener = await openOutbound({
      settings: one,
      signed: identity.identity,
      trust: identity.identity.trust,
      judge: callerJudge({ callers, ownUid, peers, port }),
      refusals: record.refusals,
      report: (event) => quiet.add(event),
      onProblem,
    })
    listeners.push(listener)
    ends.push(() => listener.close())
  }
  return listeners
}

function assertsAhead(milliseconds: number): SidecarEvent {
  const text =
    `callers are asserted by a time that is ${Math.round(milliseconds / 1000)} s ahead of the machine's clock, which was put back; ` +
    'programs that check with another library than the SDK refuse until the sidecar is started again'
  return { type: 'warning', code: 'assertion_time_ahead', text }
}

function openToAll({ to, place }: OutboundSettings): SidecarEvent {
  const at = 'socket' in place ? place.socket : `127.0.0.1:${place.port}`
  const text = `every process of this machine that reaches ${at} calls ${to} as this identity`
  return { type: 'warning', code: 'insecure_any_local_process', text }
}
