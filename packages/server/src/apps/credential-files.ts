/**
 * Keeps the files of one identity in step with it: a new generation whenever certificate, anchors or tokens change, none
 * at all once the identity cannot be used (reference ids OP-2, OP-3). While the authority is out of reach, what is
 * written stays as long as its certificate is valid.
 */

import { DoorwardError, isDoorwardError, toBase64url, toMillis, toSeconds, utf8 } from '@doorward/core'
import type { EpochSeconds } from '@doorward/core'
import { sha256 } from '@doorward/sdk'
import type { Identity, Runtime, Svid } from '@doorward/sdk'
import type { CredentialFolder } from './credential-folder.ts'
import { generationFiles, readStatus, statusName, withdrawnFiles } from './credential-generation.ts'
import type { TokenRequest, TrustedAnchors, WrittenToken } from './credential-generation.ts'
import { latestTime, standingOf } from './credential-standing.ts'
import type { RefusalWatch, Standing, StandingIdentity } from './credential-standing.ts'
import { mintTokens } from './credential-tokens.ts'
import type { TokenIdentity } from './credential-tokens.ts'

export type CredentialEvent =
  | {
      readonly type: 'written'
      readonly svid: Svid
      readonly tokens: readonly WrittenToken[]
      /** Left out, because the authority gives no token for them. */
      readonly refused: readonly TokenRequest[]
    }
  | { readonly type: 'withdrawn'; readonly code: string; readonly message: string }
  | { readonly type: 'problem'; readonly error: unknown }

export interface CredentialFilesOptions {
  readonly identity: StandingIdentity & TokenIdentity & Pick<Identity, 'onMaterial'>
  readonly folder: CredentialFolder
  readonly tokens: readonly TokenRequest[]
  /** Hears what the identity survives. */
  readonly watch: RefusalWatch
  readonly runtime: Runtime
  readonly report: (event: CredentialEvent) => void
}

interface Written {
  /** Which certificate and anchors. */
  readonly basis: string
  /** Digest of the tokens. */
  readonly tokens: string
  readonly notAfter: EpochSeconds
  /** On the monotonic clock: when tokens are to be replaced; infinite without any. */
  readonly dueAt: number
}

type Unusable = Exclude<Standing, { readonly kind: 'usable' }>

/** Readers that followed the link to the generation before have this long to open its files. */
const READER_MILLISECONDS = 10_000
/** Timers sleep through a suspended machine: look at the clock at least this often. */
const MAX_SLEEP = 30_000
const MIN_SLEEP = 20
const RETRY = { first: 500, cap: 30_000 }

export class CredentialFiles {
  readonly #options: CredentialFilesOptions
  #written: Written | null = null
  #withdrawn = false
  /** This process has written a generation. */
  #begun = false
  /** On the monotonic clock. */
  #sweepAt = Number.POSITIVE_INFINITY

  constructor(options: CredentialFilesOptions) {
    this.#options = options
  }

  /** Looks at what an earlier process has left. Throws `credentials_of_another` and `file_unreadable`. */
  async resume(): Promise<void> {
    const { folder, identity } = this.#options
    const bytes = await folder.read(statusName)
    const status = bytes === null ? null : readStatus(bytes)
    if (status === null) return
    if (status.id !== identity.id.uri) {
      throw new DoorwardError('credentials_of_another', 'the folder holds the files of another identity', {
        where: folder.path,
        expected: identity.id.uri,
        got: status.id,
        next: 'name another folder, or remove this one',
      })
    }
    const { notAfter } = status
    this.#withdrawn = notAfter === null
    if (notAfter !== null) this.#written = { basis: '', tokens: '', notAfter, dueAt: 0 }
  }

  /**
   * Brings the files in step with the identity, once. Throws `identity_dead` after taking them away for good,
   * `audience_unknown` when the authority gives no token for one before anything was written, and whatever else keeps a
   * new generation from being written; then the old one stands while its certificate is valid.
   */
  async update(): Promise<Standing> {
    const { identity, watch, runtime } = this.#options
    const standing = standingOf(identity, watch, runtime)
    if (standing.kind !== 'usable') return this.#withdraw(standing)
    try {
      if (this.#isStale(standing.svid)) await this.#renew()
      return standing
    } catch (error) {
      watch.hear(error)
      const again = standingOf(identity, watch, runtime)
      if (again.kind !== 'usable') return this.#withdraw(again)
      await this.#withdrawExpired()
      throw error
    }
  }

  /** Updates until the signal aborts; the files stay. Throws `identity_dead` and `audience_unknown` as `update`. */
  async run(signal: AbortSignal): Promise<void> {
    const { identity, watch, runtime } = this.#options
    let wake = new AbortController()
    const rouse = () => wake.abort()
    const stops = [identity.onMaterial(rouse), watch.onHeard(rouse)]
    let failures = 0
    try {
      while (!signal.aborted) {
        // Armed before we look, so that nothing that happens meanwhile is slept through.
        if (wake.signal.aborted) wake = new AbortController()
        failures = (await this.#attempt(signal)) ? 0 : failures + 1
        await runtime.sleep(this.#pause(failures), AbortSignal.any([signal, wake.signal]))
      }
    } finally {
      for (const stop of stops) stop()
    }
  }

  /** False when something went wrong that may go well the next time. */
  async #attempt(signal: AbortSignal): Promise<boolean> {
    const { report, runtime } = this.#options
    try {
      await this.update()
      if (runtime.monotonic() >= this.#sweepAt) await this.sweep()
      return true
    } catch (error) {
      if (isDoorwardError(error, 'identity_dead') || isDoorwardError(error, 'audience_unknown')) throw error
      if (!signal.aborted) report({ type: 'problem', error })
      return false
    }
  }

  /** Removes the generation before, also where readers might have it open. */
  async sweep(): Promise<void> {
    await this.#options.folder.sweep()
    this.#sweepAt = Number.POSITIVE_INFINITY
  }

  #isStale(svid: Svid): boolean {
    const { identity, runtime } = this.#options
    if (this.#written === null || runtime.monotonic() >= this.#written.dueAt) return true
    const trust = trustedBy(identity)
    return trust === null || this.#written.basis !== basisOf(svid, trust)
  }

  async #renew(): Promise<void> {
    const { identity, folder, tokens: requests, runtime, report } = this.#options
    const asked = runtime.monotonic()
    const { tokens, refused, freshMilliseconds } = await mintTokens(identity, requests)
    const [missing] = refused
    if (missing !== undefined && !this.#begun) throw audienceUnknown(missing)
    const svid = identity.credentials.current()
    const trust = trustedBy(identity)
    if (trust === null) throw new DoorwardError('trust_state_missing', 'there is no current trust state to write')
    const next = { basis: basisOf(svid, trust), tokens: digestOf(tokens), notAfter: svid.certificate.notAfter }
    if (next.basis !== this.#written?.basis || next.tokens !== this.#written.tokens) {
      await folder.write(generationFiles({ svid, trust, tokens }, toSeconds(runtime.wall())))
      this.#begun = true
      this.#withdrawn = false
      this.#sweepAt = runtime.monotonic() + READER_MILLISECONDS
      report({ type: 'written', svid, tokens, refused })
    }
    this.#written = { ...next, dueAt: asked + (freshMilliseconds ?? Number.POSITIVE_INFINITY) }
  }

  /** What is written may be older than what the identity holds by now. */
  async #withdrawExpired(): Promise<void> {
    const { identity, runtime } = this.#options
    if (this.#written === null || latestTime(identity, runtime) < this.#written.notAfter) return
    const message = `the certificate in the files ended at ${this.#written.notAfter}`
    await this.#withdraw({ kind: 'lapsed', code: 'certificate_expired', message })
  }

  async #withdraw(standing: Unusable): Promise<Unusable> {
    const { identity, folder, runtime, report } = this.#options
    const { kind, code, message } = standing
    if (!this.#withdrawn) {
      await folder.withdraw(withdrawnFiles(identity.id.uri, code, toSeconds(runtime.wall())))
      this.#withdrawn = true
      this.#written = null
      this.#sweepAt = Number.POSITIVE_INFINITY
      report({ type: 'withdrawn', code, message })
    }
    if (kind === 'dead') throw identityDead(identity, standing)
    return standing
  }

  #pause(failures: number): number {
    const { identity, runtime } = this.#options
    const { first, cap } = RETRY
    const retry = Math.min(cap, first * 2 ** Math.min(failures - 1, 16)) * (0.5 + runtime.chance() / 2)
    const monotonic = runtime.monotonic()
    const now = latestTime(identity, runtime)
    const ends = [identity.credentials.peek()?.certificate.notAfter, this.#written?.notAfter]
      .filter((end) => end !== undefined)
      .flatMap((end) => (end > now ? [toMillis(end) - toMillis(now)] : []))
    const due = (this.#written?.dueAt ?? Number.POSITIVE_INFINITY) - monotonic
    const next = failures > 0 ? retry : due
    return Math.max(MIN_SLEEP, Math.min(MAX_SLEEP, next, this.#sweepAt - monotonic, ...ends))
  }
}

/** The anchors that count now: of our trust domain, none denied, none of an earlier epoch. Null without a current trust state. */
export function trustedBy({ trustStore }: Pick<StandingIdentity, 'trustStore'>): TrustedAnchors | null {
  const view = trustStore.view()
  if (view === null) return null
  const { trustDomain, delegation, sequence, epoch } = view.state
  const past = view.state.anchors.filter((anchor) => anchor.epoch < epoch).map(({ keyId }) => keyId)
  const refused = new Set<string | null>([...view.deniedAuthorities, ...past])
  const anchors = view.anchors.filter(
    ({ spiffeId, subjectKeyId }) => spiffeId?.trustDomain === trustDomain && !refused.has(subjectKeyId),
  )
  return anchors.length === 0 ? null : { anchors, delegation, sequence }
}

function basisOf({ fingerprint }: Svid, { anchors }: TrustedAnchors): string {
  return [fingerprint, ...anchors.map((anchor) => anchor.fingerprint).toSorted()].join(' ')
}

function digestOf(tokens: readonly WrittenToken[]): string {
  return toBase64url(sha256(utf8(tokens.map(({ token }) => token.reveal()).join(' '))))
}

function audienceUnknown({ audience, file }: TokenRequest): DoorwardError {
  return new DoorwardError('audience_unknown', 'the authority gives no token for this audience', {
    where: file,
    expected: 'the name of a server in the configuration, or the URL of one',
    got: audience,
  })
}

function identityDead({ id }: Pick<Identity, 'id'>, { code, message }: Unusable): DoorwardError {
  return new DoorwardError('identity_dead', 'the authority has taken this identity away; its files are withdrawn', {
    where: id.uri,
    got: `${code}: ${message}`,
    next: 'ask the operator; after registering it again, join anew',
  })
}
