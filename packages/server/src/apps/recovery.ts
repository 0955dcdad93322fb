/**
 * A recovery from the operator's side: starts it, has the root sign when it is time, watches, and in the end shows that
 * nobody accepts what the old keys sign. The authorities do the rest, and go on when whoever has started it is gone.
 */

import { DoorwardError, isDoorwardError } from '@doorward/core'
import type { P256Jwk } from '@doorward/core'
import { generateP256, ServerRefused, timerSleep } from '@doorward/sdk'
import type { AdminClient, CeremonyView, Identity, NewCeremony, Probe } from '@doorward/sdk'
import { holdConnections, proveDenied } from './denied-keys.ts'
import type { HeldConnections, ProbeTarget } from './denied-keys.ts'
import { verdictIn } from './recovery-report.ts'
import { signedBy } from './root-signer.ts'
import type { RootSigner } from './root-signer.ts'

export interface WatchOptions {
  readonly identity: Identity
  readonly admin: AdminClient
  /** Told of every look at it. */
  readonly onLook: (ceremony: CeremonyView) => void
  readonly signal: AbortSignal
}

export interface RecoveryOptions extends WatchOptions {
  readonly wanted: Omit<NewCeremony, 'kind'>
  /** Goes on with a recovery that is open instead of starting one. */
  readonly resume: boolean
  /** Null where the root signs elsewhere: the recovery waits for what is imported. */
  readonly signer: RootSigner | null
  readonly targets: readonly ProbeTarget[]
}

export interface RecoveryOutcome {
  readonly ceremony: CeremonyView
  readonly verdict: 'proven' | 'unproven' | 'failed'
  readonly probes: readonly Probe[]
  /** Signed note; null where nobody could sign one. */
  readonly report: string | null
}

const lookMilliseconds = 200
/** The operator's own certificate is replaced on the way: for so long a refusal may be a passing one. */
const patienceMilliseconds = 60_000
const canaryMilliseconds = 10_000
/** What a report has room for. */
const MAX_PROBES = 150

/** Starts a recovery, or goes on with one, and sees it to its end. Throws `root_other`, `aborted`, and what the authority refuses. */
export async function recover(options: RecoveryOptions): Promise<RecoveryOutcome> {
  const { identity, admin, targets, wanted, resume } = options
  const open = resume ? await openRecovery(admin) : null
  const held = await holdConnections(
    open === null || isOld(identity, open) ? targets : [],
    identity.credentials.current(),
  )
  const stopping = new AbortController()
  const running = identity.run(stopping.signal)
  try {
    const started = open ?? (await admin.startCeremony({ ...wanted, kind: 'recover' }))
    return await seeThrough(options, started, held)
  } finally {
    held.close()
    stopping.abort()
    await running
  }
}

/** Whether our certificate is one that the recovery replaces. */
function isOld({ credentials }: Identity, { replaces }: CeremonyView): boolean {
  return replaces.includes(credentials.current().certificate.authorityKeyId ?? '')
}

async function openRecovery(admin: AdminClient): Promise<CeremonyView> {
  const newest = await admin.newestCeremony()
  if (newest.kind === 'recover' && !hasEnded(newest)) return newest
  throw new DoorwardError('recovery_none', 'no recovery is open', {
    got: `${newest.kind} at ${newest.stage}`,
    next: 'start one: doorward authority recover --reason TEXT',
  })
}

async function seeThrough(
  options: RecoveryOptions,
  started: CeremonyView,
  held: HeldConnections,
): Promise<RecoveryOutcome> {
  let signed = false
  const ended = await watch(options, started.id, async (now) => {
    if (now.stage === 'delegate' && !signed && options.signer !== null) {
      signed = await signWanted(options, options.signer)
      return null
    }
    return now.stage === 'settle' && now.progress?.settled === true ? now : null
  })
  if (ended.stage !== 'settle') return shownByAnother(ended)
  return prove(options, ended, held)
}

function endOf({ stage }: CeremonyView): RecoveryOutcome['verdict'] {
  return stage === 'failed' ? 'failed' : 'unproven'
}

/** False when somebody was quicker, or the keys to be named have changed: it is asked anew then. */
async function signWanted({ identity, admin }: WatchOptions, signer: RootSigner): Promise<boolean> {
  const signed = await unlessConflict(async () => {
    const { statement } = await admin.wantedDelegation()
    await admin.delegate(await signedBy(signer, statement, identity))
    return true
  })
  return signed === true
}

async function prove(options: RecoveryOptions, settled: CeremonyView, held: HeldConnections): Promise<RecoveryOutcome> {
  const { identity, admin, targets, signal } = options
  await identity.prepare(signal)
  const key = await generateP256()
  const ready = await signedFor(options, settled.id, key.jwk)
  if (hasEnded(ready)) return shownByAnother(ready)
  const own = identity.credentials.current()
  const canaries = ready.canaries ?? []
  const probes = await proveDenied({ targets, held, own, canaries, canaryKey: key.privateKey })
  const kept = probes.slice(0, MAX_PROBES)
  const shown = await unlessConflict(() => patiently(options, () => admin.reportProbes(kept)))
  const ceremony = await watch(options, settled.id)
  return shown === null ? shownByAnother(ceremony) : { ...shown, ceremony, probes: kept }
}

/** Has the old keys sign for this key; somebody else may be about it, and is waited for. The ceremony with what was signed, or ended. */
async function signedFor(options: RecoveryOptions, id: string, key: P256Jwk): Promise<CeremonyView> {
  const audiences = [...new Set(options.targets.map(({ audience }) => audience))]
  const isOurs = ({ canaryKey }: CeremonyView) => canaryKey?.x === key.x && canaryKey.y === key.y
  for (;;) {
    const asked = await unlessConflict(() => patiently(options, () => options.admin.askCanaries(key, audiences)))
    const since = performance.now()
    const late = () => performance.now() - since > canaryMilliseconds
    const ready = await watch(options, id, async (now) =>
      isOurs(now) ? (isSigned(now) || late() ? now : null) : asked === null && late() ? now : null,
    )
    if (hasEnded(ready) || isOurs(ready)) return ready
  }
}

/** Everybody's old keys have signed. */
function isSigned({ authorities, canaries }: CeremonyView): boolean {
  return authorities.every((name) =>
    (['certificate', 'token'] as const).every((kind) =>
      (canaries ?? []).some((canary) => canary.authority === name && canary.kind === kind),
    ),
  )
}

function shownByAnother(ceremony: CeremonyView): RecoveryOutcome {
  const { report } = ceremony
  return { ceremony, verdict: report === null ? endOf(ceremony) : verdictIn(report), probes: [], report }
}

/** Null when somebody else was quicker. */
async function unlessConflict<T>(call: () => Promise<T>): Promise<T | null> {
  try {
    return await call()
  } catch (error) {
    if (isDoorwardError(error, 'conflict')) return null
    throw error
  }
}

/** Looks at a ceremony until it has ended, or until `until` says so. Throws `aborted`, `ceremony_replaced`. */
export async function watch(
  options: WatchOptions,
  id: string,
  until: (now: CeremonyView) => Promise<CeremonyView | null> = async () => null,
): Promise<CeremonyView> {
  for (;;) {
    const now = await patiently(options, () => options.admin.newestCeremony())
    if (now.id !== id)
      throw new DoorwardError('ceremony_replaced', 'another ceremony has begun meanwhile', { got: now.id })
    options.onLook(now)
    if (hasEnded(now)) return now
    const wanted = await until(now)
    if (wanted !== null) return wanted
    await timerSleep(lookMilliseconds, options.signal)
    if (options.signal.aborted)
      throw new DoorwardError('aborted', 'nobody watches any more; the authorities go on by themselves', {
        next: 'look at it with: doorward authority status',
      })
  }
}

export function hasEnded({ stage }: Pick<CeremonyView, 'stage'>): boolean {
  return stage === 'done' || stage === 'failed'
}

/** Calls again while our own standing is being replaced. */
async function patiently<T>({ identity, signal }: WatchOptions, call: () => Promise<T>): Promise<T> {
  const started = performance.now()
  for (;;) {
    try {
      return await call()
    } catch (error) {
      if (!isPassing(error) || signal.aborted || performance.now() - started > patienceMilliseconds) throw error
    }
    await identity.prepare(signal).catch(() => undefined)
    await timerSleep(lookMilliseconds, signal)
  }
}

const passing =
  /^(?:certificate_|token_|identity_|server_|connection_|trust_|svid_|record_unavailable|store_unavailable|authority_unready|limit_|closed)/

function isPassing(error: unknown): boolean {
  if (!(error instanceof DoorwardError)) return false
  return error instanceof ServerRefused
    ? passing.test(error.code) && error.code !== 'server_refused'
    : passing.test(error.code)
}
