/**
 * Keeps the SVID of one identity fresh, for all its processes together: whoever holds the folder's lock renews, the others
 * pick up what was stored. A failure never takes away an SVID that is still valid.
 */

import { backdatingSeconds, chainsToAnchor, DoorwardError, jwkThumbprint, toBase64url, toSeconds } from '@doorward/core'
import type { SpiffeId } from '@doorward/core'
import { joinStateOf, rejoin } from './admission.ts'
import type { CredentialSource } from './credential-source.ts'
import { underLock } from './folder-lock.ts'
import { readJsonBody, withinAnswerTime } from './https-exchange.ts'
import type { IdentityDescription, IdentityFolder, JoinState } from './identity-folder.ts'
import { acceptIssued } from './issued-certificate.ts'
import { sha256 } from './platform/hash.ts'
import { generateP256, importP256, p256KeyPairOf } from './platform/p256.ts'
import type { ProcessProbe } from './process-identity.ts'
import { readRefusal, refusalError } from './refusal.ts'
import { renewalPlan, returnBackoff } from './renewal-plan.ts'
import { backoffMilliseconds } from './runtime.ts'
import type { Runtime } from './runtime.ts'
import type { SignedFetch } from './signed-fetch.ts'
import type { Svid } from './svid.ts'
import type { TrustStore } from './trust-store.ts'

export interface RenewalOptions {
  readonly folder: IdentityFolder
  readonly description: IdentityDescription
  readonly credentials: CredentialSource
  readonly trust: TrustStore
  readonly fetch: SignedFetch
  readonly authorityId: SpiffeId
  readonly runtime: Runtime
  readonly processes: ProcessProbe
  readonly onProblem: (error: unknown) => void
}

export const renewExporter = 'EXPORTER-doorward-renew'
/** Timers sleep through a suspended machine: look at the clock at least this often. */
const MAX_SLEEP = 30_000

type Standing = 'fresh' | 'due' | 'unusable'

export class Renewal {
  readonly #options: RenewalOptions
  #chance: number
  #stored: string | null = null

  constructor(options: RenewalOptions) {
    this.#options = options
    this.#chance = options.runtime.chance()
  }

  /** Renews until the signal aborts. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    let failures = 0
    const wake = this.#wakeOnTrust()
    try {
      while (!signal.aborted) {
        const woken = wake.arm()
        const outcome = await this.ensure(signal).then(
          () => 'done' as const,
          (error: unknown) => error,
        )
        if (outcome !== 'done' && !signal.aborted) this.#options.onProblem(outcome)
        failures = outcome === 'done' ? 0 : failures + 1
        await this.#options.runtime.sleep(this.#pause(failures), AbortSignal.any([signal, woken]))
      }
    } finally {
      wake.stop()
    }
  }

  /** Renews now if it is due, or returns by the machine key when no usable SVID is left. Throws why that failed; what was held stays. */
  async ensure(signal?: AbortSignal): Promise<void> {
    await this.reload()
    if (this.#standing() === 'fresh') return
    await this.#replaceIf(() => this.#standing() !== 'fresh', signal)
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
      else await this.#renew(signal)
    })
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
    if (now >= expiresAt || this.#isWithdrawn(svid)) return 'unusable'
    return now >= renewAt ? 'due' : 'fresh'
  }

  /**
   * It is denied with its serial, identity or authority, or its anchor is not among the newest that are known: servers refuse
   * it, whatever its times say.
   */
  #isWithdrawn({ certificate, id }: Svid): boolean {
    const trust = this.#options.trust.authorityTrust()
    if (trust === null) return false
    const anchor = chainsToAnchor(certificate, trust.anchors, toSeconds(this.#options.runtime.wall()), importP256)
    if ('code' in anchor) return anchor.code === 'chain_issuer_unknown'
    const issuedBefore = trust.deniedIdentities.get(id.uri) ?? 0
    return (
      trust.deniedSerials.has(certificate.serial) ||
      trust.deniedAuthorities.has(anchor.subjectKeyId) ||
      certificate.notBefore + backdatingSeconds < issuedBefore
    )
  }

  async #renew(signal: AbortSignal | undefined): Promise<void> {
    const { folder, fetch, description, authorityId, trust } = this.#options
    const authority = description.addresses.authority
    const key = await generateP256()
    // Only what is durable may be shown: after a crash, a state that was shown and then lost would look like a copy's.
    const shown = await folder.readJoinState()
    const response = await fetch.call(new URL('/v1/renew', authority), {
      method: 'POST',
      audience: authority,
      expectedId: authorityId,
      headers: { 'content-type': 'application/json' },
      body: async (exporter) => {
        const proof = await key.signKey.sign(exporter(renewExporter))
        return new TextEncoder().encode(
          JSON.stringify({
            public_key: toBase64url(key.spki),
            proof: toBase64url(proof),
            ...(shown === null ? {} : { join_state: shown.value.reveal() }),
          }),
        )
      },
      signal: withinAnswerTime(signal),
    })
    if (response.status !== 200) throw refusalError(await readRefusal(response), authority)
    const { certificate, join_state } = await readJsonBody(response, 65_536)
    const view = trust.view()
    if (view === null)
      throw new DoorwardError('trust_state_expired', 'no current trust state to judge the new certificate by', {
        where: authority,
      })
    const expectedId = description.id.uri
    const svid = acceptIssued(certificate, {
      key,
      trustDomain: description.trustDomain,
      expectedId,
      view,
      clock: this.#options.runtime.wall,
    })
    const machineKey = shown?.machineKey ?? (await this.#machineKey())
    await this.#store(svid, machineKey === null ? null : joinStateOf(join_state, machineKey))
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
    const { folder, description, runtime, trust } = this.#options
    const admission = await rejoin(folder, description, runtime.wall)
    const result = await trust.accept(admission.trust.message)
    if ('code' in result)
      throw new DoorwardError(result.code, 'the trust state is not accepted', { got: result.message })
    await this.#store(admission.svid, admission.joinState)
  }

  #pause(failures: number): number {
    const { runtime, credentials } = this.#options
    const svid = credentials.peek()
    const plan = svid === null ? null : renewalPlan(svid, this.#chance)
    if (failures === 0 && plan !== null) return Math.min(MAX_SLEEP, Math.max(0, plan.renewAt - runtime.wall()))
    const valid = plan !== null && runtime.wall() < plan.expiresAt
    return backoffMilliseconds(failures - 1, valid ? plan.backoff : returnBackoff, runtime.chance())
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
