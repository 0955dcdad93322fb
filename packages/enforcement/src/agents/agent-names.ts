/**
 * Names of tasks and contexts that an agent gives and its callers give back. To the agent a gateway is one caller, so each name
 * leaves us with a proof in front of it, HMAC-SHA-256 under a key of ours, of whom it was given to. Callers compare such names,
 * so the same name has the same proof for as long as the key lives.
 */

import { createHmac, timingSafeEqual } from 'node:crypto'
import { toBase64url } from '@doorward/core'
import type { A2aNameKind } from '@doorward/core'

export interface NameUse {
  readonly kind: A2aNameKind
  readonly agent: string
  readonly owner: string
}

const PROVEN = /^dwa\.([\w-]{43})\./

export class AgentNames {
  readonly #key: Uint8Array

  /** 32 bytes. */
  constructor(key: Uint8Array) {
    this.#key = key
  }

  /** What goes before the name: points, letters, digits, `-` and `_`. */
  prefix(use: NameUse, name: string): string {
    return `dwa.${this.#proof(use, name)}.`
  }

  /** The prefix of a name that was given for this use; null for every other text. */
  prefixOf(use: NameUse, text: string): string | null {
    const [prefix, proof] = PROVEN.exec(text) ?? []
    if (prefix === undefined || proof === undefined) return null
    const expected = Buffer.from(this.#proof(use, text.slice(prefix.length)))
    const given = Buffer.from(proof)
    return given.length === expected.length && timingSafeEqual(given, expected) ? prefix : null
  }

  #proof({ kind, agent, owner }: NameUse, name: string): string {
    const text = JSON.stringify([`a2a-${kind}`, agent, owner, name])
    return toBase64url(createHmac('sha256', this.#key).update(text).digest())
  }
}
