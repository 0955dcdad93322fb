/** Tokens in memory, by whom they are for: bounded, asked for once however many calls wait, and used no longer than they are good. */

import type { Secret } from '@doorward/core'
import type { CredentialFields, UpstreamFailure } from '../../transports/server-credential.ts'

export interface NewToken<Used> {
  readonly fields: CredentialFields
  /** Among all that this server has had. */
  readonly number: number
  readonly token: Secret
  /** Of the secrets that it was asked for with. */
  readonly versions: string
  /** Seconds. */
  readonly life: number
  /** Seconds since 1970, before it was asked for. */
  readonly asked: number
  /** Names that a denial may be of. */
  readonly parties: readonly string[]
  readonly name: string
  /** With what it can be taken back. */
  readonly used: Used
}

export interface HeldToken<Used> extends NewToken<Used> {
  /** On the clock that never goes back. */
  readonly since: number
  readonly until: number
}

interface Failure {
  readonly failure: UpstreamFailure
  readonly versions: string
  readonly until: number
}

type Answer<Used> = HeldToken<Used> | UpstreamFailure

/** A token is not used in the last tenth of its life, at most half a minute. */
const LAST_SECONDS = 30
const MAX_HELD = 1000
const MAX_ASKING = 64

export class HeldTokens<Used> {
  readonly #monotonic: () => number
  /** The least recently used first. */
  readonly #held = new Map<string, HeldToken<Used>>()
  readonly #failed = new Map<string, Failure>()
  readonly #asking = new Map<string, { readonly versions: string; readonly answer: Promise<Answer<Used>> }>()

  constructor(monotonic: () => number) {
    this.#monotonic = monotonic
  }

  held(token: NewToken<Used>): HeldToken<Used> {
    const since = this.#monotonic()
    const usable = token.life - Math.min(LAST_SECONDS, token.life / 10)
    return { ...token, since, until: since + usable * 1000 }
  }

  find(key: string): HeldToken<Used> | null {
    return this.#held.get(key) ?? null
  }

  /** One that is good now and was asked for with these secrets. */
  good(key: string, versions: string): HeldToken<Used> | null {
    const held = this.#held.get(key)
    if (held === undefined) return null
    this.#held.delete(key)
    if (held.versions !== versions || this.#monotonic() >= held.until) return null
    this.#held.set(key, held)
    return held
  }

  keep(key: string, token: HeldToken<Used>): void {
    this.#failed.delete(key)
    this.#held.delete(key)
    this.#held.set(key, token)
    trim(this.#held)
  }

  /** Nobody asks for it again until then. */
  fail(key: string, failure: Failure): void {
    this.#failed.delete(key)
    this.#failed.set(key, failure)
    trim(this.#failed)
  }

  forget(key: string): void {
    this.#held.delete(key)
  }

  /** Takes away, and tells, those that fit. */
  take(fits: (token: HeldToken<Used>) => boolean): readonly HeldToken<Used>[] {
    const found = [...this.#held].filter(([, token]) => fits(token))
    for (const [key] of found) this.#held.delete(key)
    return found.map(([, token]) => token)
  }

  /** One question for all who ask with these secrets; null where too many are under way. `ask` never rejects. */
  once(
    key: string,
    versions: string,
    ask: () => Promise<Answer<Used>>,
  ): Promise<Answer<Used>> | UpstreamFailure | null {
    const failed = this.#failed.get(key)
    if (failed?.versions === versions && this.#monotonic() < failed.until) return failed.failure
    const other = this.#asking.get(key)
    if (other?.versions === versions) return other.answer
    if (this.#asking.size >= MAX_ASKING) return null
    const asking = { versions, answer: ask() }
    this.#asking.set(key, asking)
    void asking.answer.then(() => {
      if (this.#asking.get(key) === asking) this.#asking.delete(key)
    })
    return asking.answer
  }
}

function trim(map: Map<string, unknown>): void {
  const [oldest] = map.keys()
  if (map.size > MAX_HELD && oldest !== undefined) map.delete(oldest)
}
