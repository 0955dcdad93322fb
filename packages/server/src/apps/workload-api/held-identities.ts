/**
 * The identities that are given out: each renewed and followed for as long as the agent runs, and looked at for what it is
 * now. Changes wake whoever waits; what is withdrawn is seen within two seconds, also where it only ran out.
 */

import { encodeTrustBundle } from '@doorward/core'
import type { SpiffeId, TrustState } from '@doorward/core'
import type { Identity, Runtime, Svid } from '@doorward/sdk'
import { trustedBy } from '../credential-files.ts'
import { refusalWatch, standingOf } from '../credential-standing.ts'
import type { RefusalWatch } from '../credential-standing.ts'

export interface UsableIdentity {
  readonly kind: 'usable'
  readonly svid: Svid
  /** DER, of the own trust domain. */
  readonly anchors: readonly Uint8Array[]
  /** What it trusts now. */
  readonly trust: TrustState
}

export type IdentityNow =
  | UsableIdentity
  /** It may come back. */
  | { readonly kind: 'lapsed'; readonly code: string; readonly message: string }
  /** The authority has taken it away. */
  | { readonly kind: 'dead'; readonly code: string; readonly message: string }

export interface HeldIdentity {
  readonly name: string
  readonly identity: Identity
  now(): IdentityNow
}

export interface HoldingParts {
  readonly names: readonly string[]
  /** Opens the identity of a name; problems that it survives are told. */
  readonly open: (name: string, onProblem: (error: unknown) => void) => Promise<Identity>
  readonly runtime: Runtime
  readonly onProblem: (error: unknown) => void
}

export interface KeptIdentity {
  readonly name: string
  readonly identity: Identity
  readonly watch: RefusalWatch
}

const LOOK_MILLISECONDS = 2000

export class HeldIdentities {
  readonly #held = new Map<string, { readonly held: HeldIdentity; readonly watch: RefusalWatch }>()
  readonly #runtime: Runtime
  readonly #onProblem: (error: unknown) => void
  #wakened = new AbortController()
  #seen = ''

  private constructor({ runtime, onProblem }: Pick<HoldingParts, 'runtime' | 'onProblem'>) {
    this.#runtime = runtime
    this.#onProblem = onProblem
  }

  /** Opens all of them. Throws as `openLocalIdentity`. */
  static async open(parts: HoldingParts): Promise<HeldIdentities> {
    const all = new HeldIdentities(parts)
    try {
      for (const name of parts.names) await all.#add(name, parts.open)
      return all
    } catch (error) {
      all.close()
      throw error
    }
  }

  /** One that somebody else keeps and closes; that one's `watch` has heard, and hears, what the authority says of it. */
  static ofKept(
    { name, identity, watch }: KeptIdentity,
    parts: Pick<HoldingParts, 'runtime' | 'onProblem'>,
  ): HeldIdentities {
    const all = new HeldIdentities(parts)
    all.#hold(name, identity, watch)
    return all
  }

  get(name: string): HeldIdentity | null {
    return this.#held.get(name)?.held ?? null
  }

  /** Makes them usable as far as that is possible now, and keeps them so until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([
      this.watch(signal),
      ...[...this.#held.values()].map(async ({ held, watch }) => {
        await held.identity.prepare(signal).catch((error: unknown) => {
          watch.hear(error)
          if (!signal.aborted) this.#onProblem(error)
        })
        this.#look()
        await held.identity.run(signal)
      }),
    ])
  }

  /** Looks at them until the signal aborts, and lets others keep them. */
  async watch(signal: AbortSignal): Promise<void> {
    const stops = [...this.#held.values()].flatMap(({ held, watch }) => [
      held.identity.onMaterial(() => this.#look()),
      watch.onHeard(() => this.#look()),
    ])
    try {
      await this.#lookNowAndThen(signal)
    } finally {
      for (const stop of stops) stop()
    }
  }

  /** Resolves at the next change, or when the signal aborts. Asked for before one looks, nothing is missed. */
  changed(signal: AbortSignal): Promise<void> {
    const { signal: wakened } = this.#wakened
    return this.#runtime.sleep(2 ** 31 - 1, AbortSignal.any([signal, wakened]))
  }

  close(): void {
    for (const { held } of this.#held.values()) held.identity.close()
  }

  async #add(name: string, open: HoldingParts['open']): Promise<void> {
    let identity: Identity | null = null
    const watch = refusalWatch(() => identity?.credentials.peek() ?? null)
    const opened = await open(name, (error) => {
      watch.hear(error)
      this.#onProblem(error)
    })
    identity = opened
    this.#hold(name, opened, watch)
  }

  #hold(name: string, identity: Identity, watch: RefusalWatch): void {
    this.#held.set(name, { held: { name, identity, now: () => this.#now(identity, watch) }, watch })
  }

  #now(identity: Identity, watch: RefusalWatch): IdentityNow {
    const standing = standingOf(identity, watch, this.#runtime)
    if (standing.kind !== 'usable') return standing
    const trusted = trustedBy(identity)
    const view = identity.trustStore.view()
    if (trusted === null || view === null)
      return { kind: 'lapsed', code: 'trust_state_missing', message: 'there is no current trust state' }
    return { kind: 'usable', svid: standing.svid, anchors: trusted.anchors.map(({ der }) => der), trust: view.state }
  }

  async #lookNowAndThen(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.#look()
      await this.#runtime.sleep(LOOK_MILLISECONDS, signal)
    }
  }

  /** Wakes whoever waits, when something is another than it was. */
  #look(): void {
    const seen = [...this.#held.values()].map(({ held }) => basisOf(held.now())).join('\n')
    if (seen === this.#seen) return
    this.#seen = seen
    const woken = this.#wakened
    this.#wakened = new AbortController()
    woken.abort()
  }
}

/** Names what of an identity is told to others: equal for equal content. */
export function basisOf(now: IdentityNow): string {
  if (now.kind !== 'usable') return now.kind
  const anchors = now.anchors.map((der) => Buffer.from(der).toString('base64'))
  return [now.svid.fingerprint, ...anchors, jwtKeySet(now.trust)].join(' ')
}

/** The keys for JWT-SVIDs that count now, as a SPIFFE key set of that one use (WA-4). */
export function jwtKeySet(trust: TrustState): string {
  return encodeTrustBundle({ sequence: null, refreshHintSeconds: null, x509: [], jwt: liveJwtKeys(trust) })
}

export function liveJwtKeys({ jwtSvidKeys, denied }: TrustState): TrustState['jwtSvidKeys'] {
  return jwtSvidKeys.filter(({ kid }) => !denied.authorities.includes(kid))
}

export function domainUri({ trustDomain }: Pick<SpiffeId, 'trustDomain'>): string {
  return `spiffe://${trustDomain}`
}
