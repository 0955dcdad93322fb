/**
 * For a program behind a sidecar, and for a service whose proxy asks a gateway: whether what comes with a request is the word of that
 * sidecar or gateway about this very request, once.
 */

import {
  epochMillis,
  isJsonObject,
  member,
  readP256Jwk,
  readPublicJwk,
  scanJson,
  toBase64url,
  toMillis,
  toSeconds,
  utf8,
  verifyAssertion,
} from '@doorward/core'
import type { Clock, EpochSeconds, JsonValue, TokenRefusal, VerifiedAssertion, VerifyKey } from '@doorward/core'
import { systemClock } from './platform/clock.ts'
import { sha256 } from './platform/hash.ts'
import { importP256 } from './platform/p256.ts'
import { systemRuntime } from './runtime.ts'

export interface AssertionVerifierOptions {
  /** SPIFFE ID of the sidecar's identity, or of the gateway's. */
  readonly issuer: string
  /** What the sidecar's configuration calls this program; of a gateway, the name of the service. */
  readonly audience: string
  /**
   * The JWK Set: a sidecar's file, or what its socket answers to `GET /jwks.json`; a gateway's `/v1/principal-keys`. Asked again for a
   * key that is new.
   */
  readonly keys: () => Promise<string>
  /**
   * The machine's by default. One that is put back counts as if it had gone on since the verifier was opened, since a key has signed
   * what was believed, or since the issuer told the time beside its keys (`doorward_time`), which it does on a sidecar's socket.
   */
  readonly clock?: Clock
  /** Milliseconds that never go back, whatever is done to the clock; the machine's by default. */
  readonly monotonic?: () => number
}

export interface AssertedRequest {
  readonly method: string
  /** Path and query as they are on the first line: `request.url` of `node:http`. */
  readonly target: string
  /** All of it; absent for none. */
  readonly body?: Uint8Array
}

export interface AssertionVerifier {
  /**
   * Judges the value of `Doorward-Principal`; without one nobody has called. Codes: those of `verifyAssertion`, `token_claims` also
   * for none and for one that was used before. Rejects with whatever `keys` rejects with.
   */
  verify(assertion: string | undefined, request: AssertedRequest): Promise<VerifiedAssertion | TokenRefusal>
}

/** Another key, or how late it is by the issuer's clock. */
const mendedByReading: ReadonlySet<string> = new Set(['token_key_unknown', 'token_not_yet_valid'])
const MAX_KEYS = 8
/** Of keys that are held, and those before. */
const MAX_TIMES = 64
const KEYS_LIMITS = { maxBytes: 16_384, maxDepth: 4, maxKeys: 128 }
const AGAIN = 1000
/** Of a minute; with more than that under way nothing is taken. */
const MAX_USED = 200_000
/** Longer than any assertion lives after its key has signed it, with what clocks may differ. */
const KEPT_MILLISECONDS = 75_000

export function openAssertionVerifier(options: AssertionVerifierOptions): AssertionVerifier {
  const { issuer, audience, clock = systemClock, monotonic = systemRuntime.monotonic } = options
  const keys = new SidecarKeys(options.keys, monotonic)
  const used = new UsedOnce()
  const reached = new TimesOfKeys()
  const opened = { wall: clock(), monotonic: monotonic() }
  // A clock that is put back brings nothing back to life that was used and forgotten.
  const least = () => epochMillis(opened.wall + monotonic() - opened.monotonic)
  // Not `iat` of what is judged: what was used before a restart would be new again by its own.
  const now = (keyId: string) => {
    const at = monotonic()
    return toSeconds(epochMillis(Math.max(clock(), least(), reached.of(keyId, at), keys.told(at))))
  }
  return {
    verify: async (assertion, { method, target, body }) => {
      if (assertion === undefined || assertion === '')
        return { ok: false, code: 'token_claims', message: 'expected Doorward-Principal, got none' }
      const bodySha256 = body === undefined || body.length === 0 ? null : toBase64url(sha256(body))
      const request = { method, target, bodySha256 }
      // By the time of the judgement: reading keys may take longer than an assertion lives.
      const judge = (known: ReadonlyMap<string, VerifyKey>) =>
        verifyAssertion(assertion, { issuer, audience, keys: known, ...request, now })
      const first = judge(await keys.current())
      const verdict = !first.ok && mendedByReading.has(first.code) ? judge(await keys.newer()) : first
      if (!verdict.ok) return verdict
      reached.saw(verdict.keyId, verdict.claims.iat, monotonic())
      return used.take(verdict.claims.jti, monotonic())
        ? verdict
        : { ok: false, code: 'token_claims', message: 'it was used before, or too many are remembered' }
    },
  }
}

/**
 * How late it is for certain by the clock of who signs, by key: as late as the latest of it that was believed, and what has passed
 * since. What was used and forgotten has ended by this time.
 */
class TimesOfKeys {
  readonly #times = new Map<string, { readonly millis: number; readonly at: number }>()

  of(keyId: string, at: number): number {
    const time = this.#times.get(keyId)
    return time === undefined ? Number.NEGATIVE_INFINITY : time.millis + at - time.at
  }

  saw(keyId: string, iat: EpochSeconds, at: number): void {
    const millis = toMillis(iat)
    if (millis <= this.of(keyId, at)) return
    this.#times.delete(keyId)
    this.#times.set(keyId, { millis, at })
    if (this.#times.size > MAX_TIMES) this.#times.delete(this.#times.keys().next().value ?? '')
  }
}

/** Read when they are first needed, and again at most once a second, failed or not. What is held stays until there are others. */
class SidecarKeys {
  readonly #read: () => Promise<string>
  readonly #monotonic: () => number
  #known: ReadonlyMap<string, VerifyKey> | null = null
  #told = { millis: Number.NEGATIVE_INFINITY, at: 0 }
  #reading: Promise<ReadonlyMap<string, VerifyKey>> | null = null
  #readAt = 0
  #count = 0
  /** Number of the reading that `#known` is of. */
  #knownBy = 0

  constructor(read: () => Promise<string>, monotonic: () => number) {
    this.#read = read
    this.#monotonic = monotonic
  }

  /** How late it is at least by the clock of the issuer of the keys that are held, as it told beside them. */
  told(at: number): number {
    return this.#told.millis + at - this.#told.at
  }

  async current(): Promise<ReadonlyMap<string, VerifyKey>> {
    return this.#known ?? this.newer()
  }

  /** Whoever asks within a second hears of the same reading. */
  async newer(): Promise<ReadonlyMap<string, VerifyKey>> {
    if (this.#reading !== null && systemRuntime.monotonic() - this.#readAt < AGAIN) return this.#reading
    this.#readAt = systemRuntime.monotonic()
    this.#reading = this.#again(++this.#count)
    return this.#reading
  }

  async #again(number: number): Promise<ReadonlyMap<string, VerifyKey>> {
    const { found, millis } = keysOf(await this.#read())
    // A reading that took long brings back nothing that a later one has replaced.
    if (found.size > 0 && number > this.#knownBy) {
      this.#known = found
      this.#knownBy = number
      this.#told = { millis, at: this.#monotonic() }
    }
    return this.#known ?? found
  }
}

interface ReadKeys {
  readonly found: ReadonlyMap<string, VerifyKey>
  /** What the issuer says of its time. */
  readonly millis: number
}

/** Public keys for ES256 with a kid; anything else in the set is left out. */
function keysOf(text: string): ReadKeys {
  const scan = scanJson(utf8(text), KEYS_LIMITS)
  const set = scan.ok && isJsonObject(scan.value) ? scan.value : {}
  const [listed, time]: readonly (JsonValue | undefined)[] = [member(set, 'keys'), member(set, 'doorward_time')]
  const found = new Map<string, VerifyKey>()
  for (const item of Array.isArray(listed) ? (listed as readonly JsonValue[]).slice(0, MAX_KEYS) : []) {
    const kid = isJsonObject(item) ? member(item, 'kid') : undefined
    const jwk = readP256Jwk(readPublicJwk(item, 'ES256'))
    const key = jwk === null ? null : importP256(jwk)
    if (typeof kid === 'string' && key !== null) found.set(kid, key)
  }
  return { found, millis: typeof time === 'number' ? time : Number.NEGATIVE_INFINITY }
}

/** What was used within the life of an assertion, by time that passes whatever the clock says. Full, it takes nothing. */
class UsedOnce {
  #older = new Set<string>()
  #newer = new Set<string>()
  #since = Number.NEGATIVE_INFINITY

  take(id: string, now: number): boolean {
    if (now - this.#since >= KEPT_MILLISECONDS) {
      this.#older = now - this.#since >= 2 * KEPT_MILLISECONDS ? new Set() : this.#newer
      this.#newer = new Set()
      this.#since = now
    }
    if (this.#older.has(id) || this.#newer.has(id) || this.#newer.size >= MAX_USED) return false
    this.#newer.add(id)
    return true
  }
}
