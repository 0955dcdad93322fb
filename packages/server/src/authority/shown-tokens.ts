/**
 * ID tokens that somebody has signed in with, for as long as they could be shown: each is good for the key that came first. It
 * counts where a provider leaves our nonce out, as for device codes. Of this process; bounded, and full means refuse (RP-5).
 */

import type { EpochSeconds } from '@doorward/core'

const MAX_SHOWN = 10_000

export class ShownTokens {
  readonly #shown = new Map<string, { readonly key: string; readonly until: EpochSeconds }>()

  /** False when another key has shown the token before, or when no more can be remembered. */
  take(token: string, use: { readonly key: string; readonly until: EpochSeconds }, now: EpochSeconds): boolean {
    const known = this.#shown.get(token)
    if (known !== undefined) return known.key === use.key
    if (this.#shown.size >= MAX_SHOWN) this.#forget(now)
    if (this.#shown.size >= MAX_SHOWN) return false
    this.#shown.set(token, use)
    return true
  }

  #forget(now: EpochSeconds): void {
    for (const [token, { until }] of this.#shown) if (until < now) this.#shown.delete(token)
  }
}
