/** The keys of one issuer over time: asked for rarely, kept for a while, and not at all once they are too old. */

import { DoorwardError } from '@doorward/core'
import type { IssuerAlgorithm, VerifyKey } from '@doorward/core'
import { keyName, readIssuerKeySet } from './issuer-key-set.ts'
import type { IssuerKeySet } from './issuer-key-set.ts'

export interface IssuerKeysOptions {
  /** Brings the JWK Set from where configuration says, at most 64 KiB. Throws why it cannot be had. */
  readonly load: () => Promise<Uint8Array>
  readonly algorithms: readonly IssuerAlgorithm[]
  /** Milliseconds that only rise. */
  readonly monotonic: () => number
}

/** Asked for again after this long, also when nothing is wrong. */
const freshMilliseconds = 600_000
/** A key that its issuer has withdrawn is good for this long at most while the issuer is out of reach. */
const keptMilliseconds = 3_600_000
/** An unknown key id, or an issuer that does not answer, leads to no more requests than this allows. */
const retryMilliseconds = 30_000

export class IssuerKeys {
  readonly #options: IssuerKeysOptions
  #held: { readonly set: IssuerKeySet; readonly at: number } | null = null
  #triedAt = Number.NEGATIVE_INFINITY
  #failure: unknown = null
  #loading: Promise<void> | null = null

  constructor(options: IssuerKeysOptions) {
    this.#options = options
  }

  /** The key, or null when the issuer has none of that id and algorithm. Throws `issuer_keys_unavailable` when its keys cannot be had. */
  async find(algorithm: IssuerAlgorithm, kid: string): Promise<VerifyKey | null> {
    if (this.#age() > freshMilliseconds) await this.#refresh()
    const known = this.#usable().get(keyName(algorithm, kid))
    if (known !== undefined) return known
    await this.#refresh()
    return this.#usable().get(keyName(algorithm, kid)) ?? null
  }

  #age(): number {
    return this.#held === null ? Number.POSITIVE_INFINITY : this.#options.monotonic() - this.#held.at
  }

  #usable(): IssuerKeySet {
    if (this.#held !== null && this.#age() <= keptMilliseconds) return this.#held.set
    throw new DoorwardError('issuer_keys_unavailable', 'the keys of the issuer cannot be had', {
      got: this.#failure instanceof Error ? this.#failure.message : 'nothing yet',
      cause: this.#failure,
    })
  }

  /** Callers that come together share one request; what fails is told by `#usable`. */
  async #refresh(): Promise<void> {
    if (this.#loading === null) {
      if (this.#options.monotonic() - this.#triedAt < retryMilliseconds) return
      this.#triedAt = this.#options.monotonic()
      this.#loading = this.#load().finally(() => {
        this.#loading = null
      })
    }
    await this.#loading
  }

  async #load(): Promise<void> {
    const { load, algorithms, monotonic } = this.#options
    try {
      this.#held = { set: readIssuerKeySet(await load(), algorithms), at: monotonic() }
      this.#failure = null
    } catch (error) {
      this.#failure = error
    }
  }
}
