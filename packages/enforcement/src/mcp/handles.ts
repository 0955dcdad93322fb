/**
 * Names that servers give and callers give back: `requestState` and task ids of the modern era. To its server the gateway is
 * one caller, so the server cannot keep the callers behind it apart by such names; each therefore leaves us with a proof in
 * front of it, HMAC-SHA-256 under a key of this gateway, of whom it was given to and what for (reference mcp.md §5).
 */

import { createHmac, timingSafeEqual } from 'node:crypto'
import { toBase64url } from '@doorward/core'
import type { EpochMillis } from '@doorward/core'

/** What a name is good for. */
export type HandleUse =
  /** A state comes back with the same request of the same caller, and no other. */
  | {
      readonly kind: 'state'
      readonly server: string
      readonly owner: string
      readonly method: string
      readonly name: string
    }
  /** A task is its caller's, by every method. */
  | { readonly kind: 'task'; readonly server: string; readonly owner: string }

export interface HandlesParts {
  /** 32 bytes, sealed in the gateway's state. */
  readonly key: Uint8Array
  readonly now: () => EpochMillis
}

/** A user may take a day over a question, and a task a month. */
const LIFE_SECONDS = { state: 24 * 3600, task: 30 * 24 * 3600 } as const
const HANDLE = /^dw1\.([0-9a-z]{1,8})\.([\w-]{43})\./

export class Handles {
  readonly #parts: HandlesParts

  constructor(parts: HandlesParts) {
    this.#parts = parts
  }

  /** What goes before the name: points, letters, digits, `-` and `_`. */
  prefix(use: HandleUse, name: string): string {
    const expiry = Math.floor(this.#parts.now() / 1000) + LIFE_SECONDS[use.kind]
    return `dw1.${expiry.toString(36)}.${toBase64url(this.#mac(use, expiry, name))}.`
  }

  /** The prefix of a name that was given for this use and is still good; null for every other text. */
  prefixOf(use: HandleUse, text: string): string | null {
    const match = HANDLE.exec(text)
    if (match === null) return null
    const [prefix, expiryText = '', mac = ''] = match
    const expiry = Number.parseInt(expiryText, 36)
    const expected = Buffer.from(toBase64url(this.#mac(use, expiry, text.slice(prefix.length))))
    const given = Buffer.from(mac)
    if (given.length !== expected.length || !timingSafeEqual(given, expected)) return null
    return expiry * 1000 > this.#parts.now() ? prefix : null
  }

  #mac(use: HandleUse, expiry: number, name: string): Uint8Array {
    const fields = use.kind === 'state' ? [use.method, use.name] : []
    const text = JSON.stringify([use.kind, use.server, use.owner, ...fields, expiry, name])
    return createHmac('sha256', this.#parts.key).update(text).digest()
  }
}
