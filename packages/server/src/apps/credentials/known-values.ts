/** Values that a server was given, which it may not tell anybody: bounded, and held nowhere else than here. */

import { REDACTED } from '@doorward/core'
import type { Secret } from '@doorward/core'

/** Shorter values are words that stand in any text. */
const LEAST_CHARACTERS = 8
/** The newest: of each secret the value before stays known while others come. */
const MOST = 64

export class KnownValues {
  readonly #values = new Map<string, Secret>()

  /** `version` names the value among all. */
  remember(version: string, value: Secret): void {
    if (value.reveal().length < LEAST_CHARACTERS) return
    this.#values.delete(version)
    this.#values.set(version, value)
    for (const oldest of this.#values.keys()) {
      if (this.#values.size <= MOST) return
      this.#values.delete(oldest)
    }
  }

  /** Characters of the longest; 0 for none. */
  get longest(): number {
    let longest = 0
    for (const value of this.#values.values()) longest = Math.max(longest, value.reveal().length)
    return longest
  }

  /** The text without them; the very same where there are none. */
  readonly without = (text: string): string => {
    let kept = text
    for (const value of this.#values.values()) kept = kept.replaceAll(value.reveal(), REDACTED)
    return kept
  }
}
