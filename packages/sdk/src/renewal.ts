/**
 * Keeps the SVID of one identity fresh, for all its processes together: whoever holds the folder's lock renews, the others
 * pick up what was stored. A failure never takes away an SVID that is still valid.
 */

import { DoorwardError, jwkThumbprint, toSeconds } from '@doorward/core'
import { joinStateOf, rejoin } from './admission.ts'
import type { AuthorityCalls } from './authority-calls.ts'
import type { AuthorityRoute } from './authority-route.ts'
import type { CredentialSource } from './credential-source.ts'
import { underLock } from './folder-lock.ts'
import type { IdentityDescription, IdentityFolder, JoinState } from './identity-folder.ts'
import { sha256 } from './platform/hash.ts'
import { importP256, p256KeyPairOf } from './platform/p256.ts'
import type { ProcessProbe } from './process-identity.ts'
import { ServerRefused } from './refusal.ts'
import { renewalPlan, returnBackoff } from './renewal-plan.ts'
import { requestRenewal } from './renewal-request.ts'
import { backoffMilliseconds } from './runtime.ts'
import type { Runtime } from './runtime.ts'
import type { ServerTrust } from './server-identity.ts'
import type { Svid } from './svid.ts'
import { svidStanding } from './svid-standing.ts'
import type { SvidStanding } from './svid-standing.ts'
import type { TrustStore } from './trust-store.ts'
import { Turn } from './turn.ts'
import { VerifiedChains } from './verified-chains.ts'

export interface RenewalOptions {
  readonly folder: IdentityFolder
  readonly description: IdentityDescription
  readonly credentials: CredentialSource
  readonly trust: TrustStore
  /** The running authorities, as one. */
  readonly authority: AuthorityCalls
  readonly route: AuthorityRoute
  readonly runtime: Runtime
  readonly processes: ProcessProbe
  readonly onProblem: (error: unknown) => void
}

/** Timers sleep through a suspended machine: look at the clock at least this often. */
const MAX_SLEEP = 30_000
/** Whoever is recalled can still call; whoever is withdrawn cannot. */
const RECALL = { spreadMilliseconds: 5000, againMilliseconds: 30_000 }
/** Whoever judges callers by the full state serves them, too: all of them see its new certificate, so it goes first. */
const RECALL_OF_SERVERS = { ...RECALL, spreadMilliseconds: 500 }
const RETURN = { spreadMilliseconds: 3000, againMilliseconds: 2000 }
const MAX_RETRY_AFTER = 60_000
/** Answers to an SVID that the authority does not take: the machine key may still do. */
const REFUSED = new Set([
  'certificate_denied',
  'certificate_epoch',
  'certificate_expired',
  'certificate_not_issued',
  'certificate_untrusted',
  'connection_refused',
])

type Standing = 'fresh' | 'due' | 'unusable'

interface Judged {
  readonly trust: ServerTrust
  readonly fingerprint: string
  readonly standing: SvidStanding
}

export class Renewal {
  readonly #options: RenewalOptions
  readonly #recall: Turn
  readonly #chains = new VerifiedChains()
  readonly #returning: Turn
  #chance: number
  #stored: string | null = null
  #judged: Judged | null = null
  #warnedOf: string | null = null

  constructor(options: RenewalOptions) {
    this.#options = options
    this.#chance = options.runtime.chance()
    this.#recall = new Turn(options.runtime, options.description.scope === 'full' ? RECALL_OF_SERVERS : RECALL)
    this.#returning = new Turn(options.runtime, RETURN)
  }

  /** Renews until the signal aborts. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    let failures = 0
    const wake = this.#wakeOnTrust()
    const sleep = (milliseconds: number, woken: AbortSignal) =>
      this.#options.runtime.sleep(milliseconds, AbortSignal.any([signal, woken]))
    try {
      while (!signal.aborted) {
        const woken = wake.arm()
        const turn = this.#untilReturn()
        if (turn > 0) {
          await sleep(turn, woken)
          continue
        }
        const problem = await this.#attempt(signal)
        failures = problem === null ? 0 : failures + 1
        await sleep(problem === null ? this.#untilDue() : this.#pause(failures, problem), woken)
      }
    } finally {
      wake.stop()
    }
  }

  /** What went wrong, or null. */
  async #attempt(signal: AbortSignal): Promise<unknown> {
    try {
      await this.ensure(signal)
      return null
    } catch (error) {
      if (signal.aborted) return error
      this.#options.onProblem(error)
      this.#warnIfLate(error)
      return error
    }
  }

  /** Once for each certificate, while there is time to do something about it. */
  #warnIfLate(cause: unknown): void {
    const { runtime, credentials, onProblem } = this.#options
    const svid = credentials.peek()
    if (svid === null || svid.fingerprint === this.#warnedOf) return
    const { lateAt } = renewalPlan(svid, this.#chance)
    if (runtime.wall() < lateAt) return
    this.#warnedOf = svid.fingerprint
    const ends = new Date(svid.certificate.notAfter * 1000).toISOString()
    onProblem(
      new DoorwardError('renewal_late', 'the certificate is not renewed and has less than a quarter of its life left', {
        got: `it ends at ${ends}`,
        next: 'see why the authority does not renew it; afterwards the machine key still brings a new one',
        cause,
      }),
    )
  }

  /** Renews now if it is due, or returns by the machine key when no usable SVID is left. Throws why that failed; what was held stays. */
  async ensure(signal?: AbortSignal): Promise<void> {
    await this.reload()
    if (!this.isDue()) return
    await this.#replaceIf(() => this.isDue(), signal)
  }

  /** `ensure`, without waiting for a turn: for processes that start, which do so one by one. */
  async ensureNow(signal?: AbortSignal): Promise<void> {
    await this.reload()
    if (this.#svidStanding() === 'recalled') await this.renewNow(signal)
    else await this.ensure(signal)
  }

  /**
   * Renews now, however young the SVID is, or returns by the machine key when it is not usable. Of several that ask at
   * once, one renews, and the others use what it got. Throws why that failed; what was held stays.
   */
  async renewNow(signal?: AbortSignal): Promise<void> {
    await this.reload()
    const held = this.#options.credentials.peek()?.fingerprint
    await this.#replaceIf(() => this.#options.credentials.peek()?.fingerprint === held, signal)
  }

  /** Under the lock, and only if it is wanted still: somebody else may have renewed while we waited. */
  async #replaceIf(wanted: () => boolean, signal: AbortSignal | undefined): Promise<void> {
    const { folder, runtime, processes } = this.#options
    await underLock({ path: folder.lockPath, runtime, processes }, async () => {
      await this.reload()
      if (!wanted()) return
      if (this.isUnusable()) await this.#return()
      else await this.#renew(signal).catch((error: unknown) => this.#returnIfRefused(error))
    })
  }

  async #returnIfRefused(error: unknown): Promise<void> {
    if (error instanceof DoorwardError && REFUSED.has(error.code)) await this.#return()
    else throw error
  }

  /** Picks up an SVID that another process of this identity has stored. */
  async reload(): Promise<void> {
    const { folder, description } = this.#options
    const version = await folder.svidVersion()
    if (version === this.#stored) return
    const svid = await folder.readSvid(description.trustDomain)
    this.#stored = version
    if (svid !== null) this.#use(svid)
  }

  /** True when servers would refuse what is held: nothing, expired, or withdrawn. */
  isUnusable(): boolean {
    return this.#standing() === 'unusable'
  }

  /** True from the planned moment of renewal on, or when nothing usable is held. */
  isDue(): boolean {
    return this.#standing() !== 'fresh'
  }

  #use(svid: Svid): void {
    if (this.#options.credentials.peek()?.fingerprint !== svid.fingerprint)
      this.#chance = this.#options.runtime.chance()
    this.#options.credentials.replace(svid)
  }

  #standing(): Standing {
    const svid = this.#options.credentials.peek()
    if (svid === null) return 'unusable'
    const now = this.#options.runtime.wall()
    const { renewAt, expiresAt } = renewalPlan(svid, this.#chance)
    const standing = this.#svidStanding()
    if (now >= expiresAt || standing === 'withdrawn') return 'unusable'
    return now >= renewAt || (standing === 'recalled' && this.#untilRecall(svid) === 0) ? 'due' : 'fresh'
  }

  /** Judged once for each pair of trust state and certificate: every call asks. */
  #svidStanding(): SvidStanding {
    const { credentials, trust: store, runtime } = this.#options
    const trust = store.authorityTrust()
    const svid = credentials.peek()
    if (trust === null || svid === null) return 'kept'
    const { fingerprint } = svid
    if (this.#judged?.trust !== trust || this.#judged.fingerprint !== fingerprint) {
      const standing = svidStanding(svid, trust, {
        now: toSeconds(runtime.wall()),
        importP256,
        chains: this.#chains,
      })
      this.#judged = { trust, fingerprint, standing }
    }
    return this.#judged.standing
  }

  #untilRecall({ certificate, fingerprint }: Svid): number {
    return this.#recall.left({ reason: certificate.authorityKeyId ?? '', subject: fingerprint })
  }

  /** Milliseconds until it is our turn to return; 0 when nothing was withdrawn. */
  #untilReturn(): number {
    const svid = this.#options.credentials.peek()
    if (svid === null || this.#svidStanding() !== 'withdrawn') return 0
    return this.#returning.left({ reason: 'withdrawn', subject: svid.fingerprint })
  }

  async #renew(signal: AbortSignal | undefined): Promise<void> {
    const { folder, description, authority, trust, runtime } = this.#options
    // Only what is durable may be shown: after a crash, a state that was shown and then lost would look like a copy's.
    const shown = await folder.readJoinState()
    const asking = { authority, description, trust, clock: runtime.wall, shown: shown?.value ?? null, signal }
    const { svid, joinState } = await requestRenewal(asking)
    const machineKey = shown?.machineKey ?? (await this.#machineKey())
    await this.#store(svid, machineKey === null ? null : joinStateOf(joinState, machineKey))
  }

  /** Of a folder that was joined before there were join states. */
  async #machineKey(): Promise<string | null> {
    const key = await this.#options.folder.readMachineKey()
    return key === null ? null : jwkThumbprint(p256KeyPairOf(key).jwk, sha256)
  }

  /** Another process may have stored a later one; one that cannot be stored is used here all the same. */
  async #store(svid: Svid, joinState: JoinState | null): Promise<void> {
    const { folder } = this.#options
    try {
      if (!(await folder.writeSvid(svid, joinState))) return await this.reload()
      this.#stored = await folder.svidVersion()
    } catch (error) {
      this.#use(svid)
      throw error
    }
    this.#use(svid)
  }

  async #return(): Promise<void> {
    const { folder, description, runtime, trust, route } = this.#options
    const admission = await rejoin({ folder, description, clock: runtime.wall, route })
    const result = await trust.accept(admission.trust.message)
    if ('code' in result)
      throw new DoorwardError(result.code, 'the trust state is not accepted', { got: result.message })
    await this.#store(admission.svid, admission.joinState)
  }

  #untilDue(): number {
    const { runtime, credentials } = this.#options
    const svid = credentials.peek()
    if (svid === null) return MAX_SLEEP
    const planned = renewalPlan(svid, this.#chance).renewAt - runtime.wall()
    const recall = this.#svidStanding() === 'recalled' ? this.#untilRecall(svid) : MAX_SLEEP
    return Math.min(MAX_SLEEP, recall, Math.max(0, planned))
  }

  /** Never so long that what is held ends before five attempts, whatever the authority asks for. */
  #pause(failures: number, problem: unknown): number {
    const { runtime, credentials } = this.#options
    const svid = credentials.peek()
    const plan = svid === null ? null : renewalPlan(svid, this.#chance)
    const valid = plan !== null && runtime.wall() < plan.expiresAt && !this.isUnusable()
    const backoff = backoffMilliseconds(failures - 1, valid ? plan.backoff : returnBackoff, runtime.chance())
    const retryAfter = problem instanceof ServerRefused ? (problem.retryAfterSeconds ?? 0) * 1000 : 0
    const asked = Math.min(MAX_RETRY_AFTER, retryAfter * (1 + runtime.chance() / 2))
    return Math.max(backoff, valid ? Math.min(asked, plan.backoff.cap) : asked)
  }

  /** A new trust state may withdraw our certificate: look at once instead of at half-life. */
  #wakeOnTrust(): { arm: () => AbortSignal; stop: () => void } {
    let controller = new AbortController()
    const { trust } = this.#options
    const stops = [trust.onAccept(() => controller.abort()), trust.onAnchors(() => controller.abort())]
    const stop = () => stops.forEach((one) => one())
    // Armed before the standing is judged, so that a state that arrives meanwhile is not slept through.
    const arm = () => {
      if (controller.signal.aborted) controller = new AbortController()
      return controller.signal
    }
    return { arm, stop }
  }
}
