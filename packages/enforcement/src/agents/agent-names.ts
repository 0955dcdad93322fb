/**
 * Names of tasks and contexts that an agent gives and its callers give back. To the agent a gateway is one caller, so each name
 * leaves us with a proof in front of it, HMAC-SHA-256 under a key of ours, of whom it was given to. Callers compare such names,
 * so the same name has the same proof for as long as the key lives.
 */

import { createHmac, timingSafeEqual } from 'node:crypto'
import { a2aProofs, toBase64url } from '@doorward/core'
import type { A2aNameKind } from '@doorward/core'

export interface NameUse {
  readonly kind: A2aNameKind
  readonly agent: string
  readonly owner: string
}

/** How the beginning of a name changes on its way; the rest stays as it is written. */
export interface NameChange {
  readonly cut: string
  readonly put: string
}

/** Names that the agent has given, and contexts that callers have made up, under which the agent knows them. */
const { given: GIVEN, made: MADE } = a2aProofs
const PROVEN = /^(dw[ac])\.([\w-]{43})\./

export class AgentNames {
  readonly #key: Uint8Array

  /** 32 bytes. */
  constructor(key: Uint8Array) {
    this.#key = key
  }

  /**
   * From what a caller writes to what its agent knows; null for what was not given to it. A context of the caller's own making
   * (A2A 1.0 §3.4.1) becomes one that nobody else can name.
   */
  toAgent(use: NameUse, text: string): NameChange | null {
    const prefix = this.#proven(GIVEN, use, text)
    if (prefix !== null) return { cut: prefix, put: '' }
    if (use.kind !== 'context' || /^dw[ac]\./.test(text)) return null
    return { cut: '', put: this.#prefix(MADE, use, text) }
  }

  /** From what the agent says to what its caller knows it by; null for a context of another caller's making. */
  toCaller(use: NameUse, name: string): NameChange | null {
    if (use.kind !== 'context' || !name.startsWith(`${MADE}.`)) return { cut: '', put: this.#prefix(GIVEN, use, name) }
    const prefix = this.#proven(MADE, use, name)
    return prefix === null ? null : { cut: prefix, put: '' }
  }

  /** The prefix of a name that was given for this use. */
  #proven(sort: string, use: NameUse, text: string): string | null {
    const [prefix, found, proof] = PROVEN.exec(text) ?? []
    if (prefix === undefined || proof === undefined || found !== sort) return null
    const expected = Buffer.from(this.#proof(sort, use, text.slice(prefix.length)))
    const given = Buffer.from(proof)
    return given.length === expected.length && timingSafeEqual(given, expected) ? prefix : null
  }

  /** Points, letters, digits, `-` and `_`, which need no escape. */
  #prefix(sort: string, use: NameUse, name: string): string {
    return `${sort}.${this.#proof(sort, use, name)}.`
  }

  #proof(sort: string, { kind, agent, owner }: NameUse, name: string): string {
    const text = JSON.stringify([`a2a-${sort}-${kind}`, agent, owner, name])
    return toBase64url(createHmac('sha256', this.#key).update(text).digest())
  }
}
