/**
 * What an issuer says about an opaque token (RFC 7662): asked over its endpoint, remembered for a moment. A token that is
 * withdrawn is good for that moment more, and for no longer than it says itself.
 */

import { createHash } from 'node:crypto'
import { isJsonObject, isSeconds, member, scanJson } from '@doorward/core'
import type { JsonObject } from '@doorward/core'
import type { IssuedTokenRefusal } from '@doorward/enforcement'

export interface IntrospectionParts {
  /** `iss` of the answers that do not say it. */
  readonly issuer: string
  /** Sends the token and brings the body of a 200 answer, at most 64 KiB. Throws why there is none. */
  readonly ask: (token: string) => Promise<Uint8Array>
  /** How long an answer counts; at most 60. */
  readonly cacheSeconds: number
  /** Milliseconds that only rise. */
  readonly monotonic: () => number
  readonly nowSeconds: () => number
}

export type Introspected = { readonly ok: true; readonly claims: JsonObject } | IssuedTokenRefusal

interface Kept {
  readonly answer: Introspected
  readonly until: number
}

const LIMITS = { maxBytes: 65_536, maxDepth: 8, maxKeys: 256 }
const MAX_KEPT = 1000
const MAX_ASKING = 16
const LONGEST_SECONDS = 60
const inactiveMilliseconds = 5000
/** An issuer that does not answer is not asked by every call. */
const failedMilliseconds = 2000

export class Introspection {
  readonly #parts: IntrospectionParts
  readonly #kept = new Map<string, Kept>()
  readonly #asking = new Map<string, Promise<Introspected>>()
  #failedUntil = Number.NEGATIVE_INFINITY

  constructor(parts: IntrospectionParts) {
    this.#parts = parts
  }

  /** The issuer's claims about a token. Callers with the same token share one request. Never rejects. */
  async claims(token: string): Promise<Introspected> {
    const { monotonic } = this.#parts
    const key = createHash('sha256').update(token).digest('base64url')
    const kept = this.#kept.get(key)
    if (kept !== undefined && monotonic() < kept.until) return kept.answer
    this.#kept.delete(key)
    const asked = this.#asking.get(key)
    if (asked !== undefined) return asked
    if (monotonic() < this.#failedUntil) return unavailable('it has just failed to answer')
    if (this.#asking.size >= MAX_ASKING) return unavailable(`${MAX_ASKING} questions are under way`)
    const asking = this.#ask(token, key).finally(() => this.#asking.delete(key))
    this.#asking.set(key, asking)
    return asking
  }

  async #ask(token: string, key: string): Promise<Introspected> {
    const { ask, monotonic } = this.#parts
    const asked = monotonic()
    try {
      const answer = this.#read(await ask(token))
      this.#keep(key, { answer, until: asked + this.#lasts(answer) })
      return answer
    } catch (error) {
      this.#failedUntil = monotonic() + failedMilliseconds
      return unavailable(error instanceof Error ? error.message : String(error))
    }
  }

  #read(body: Uint8Array): Introspected {
    const scan = scanJson(body, LIMITS)
    if (!scan.ok || !isJsonObject(scan.value)) throw new Error('the answer is not a strict JSON object')
    const claims = scan.value
    const active = member(claims, 'active')
    if (typeof active !== 'boolean') throw new Error('the answer does not say whether the token is active')
    if (!active) return { ok: false, code: 'token_inactive', message: 'the issuer says that it is not active' }
    return { ok: true, claims: member(claims, 'iss') === undefined ? { ...claims, iss: this.#parts.issuer } : claims }
  }

  #lasts(answer: Introspected): number {
    if (!answer.ok) return inactiveMilliseconds
    const { cacheSeconds, nowSeconds } = this.#parts
    const exp = member(answer.claims, 'exp')
    const left = isSeconds(exp) ? exp - nowSeconds() : 0
    return Math.max(0, Math.min(left, cacheSeconds, LONGEST_SECONDS)) * 1000
  }

  /** The oldest makes room: whoever is forgotten is asked about again. */
  #keep(key: string, kept: Kept): void {
    const [oldest] = this.#kept.keys()
    if (this.#kept.size >= MAX_KEPT && oldest !== undefined) this.#kept.delete(oldest)
    this.#kept.set(key, kept)
  }
}

function unavailable(message: string): IssuedTokenRefusal {
  return { ok: false, code: 'issuer_unavailable', message: `the issuer cannot be asked: ${message}` }
}
