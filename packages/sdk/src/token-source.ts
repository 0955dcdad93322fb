/** Access tokens per audience, bound to one generation of the SVID, kept until three quarters of their life are over. */

import { DoorwardError, Secret } from '@doorward/core'
import { readJsonBody } from './https-exchange.ts'
import type { CallResponse } from './https-exchange.ts'
import { readRefusal, refusalError } from './refusal.ts'
import type { Svid } from './svid.ts'

export interface TokenRequest {
  readonly svid: Svid
  readonly audience: string
}

export interface TokenSourceDependencies {
  /** Sends the form to the authority's token endpoint over a connection that carries this SVID. */
  readonly post: (svid: Svid, form: string) => Promise<CallResponse>
  readonly monotonic: () => number
}

interface Kept {
  readonly token: Promise<Secret>
  /** On the monotonic clock; infinite while the request is on its way. */
  freshUntil: number
}

const MAX_KEPT = 64
const RENEW_AT = 0.75

export class TokenSource {
  readonly #dependencies: TokenSourceDependencies
  readonly #kept = new Map<string, Kept>()

  constructor(dependencies: TokenSourceDependencies) {
    this.#dependencies = dependencies
  }

  /** A token for the audience, bound to this SVID. Concurrent callers share one request. Throws the authority's refusal code or `token_response_invalid`. */
  token(request: TokenRequest): Promise<Secret> {
    const key = keyOf(request)
    const kept = this.#kept.get(key)
    if (kept !== undefined && this.#dependencies.monotonic() < kept.freshUntil) return kept.token
    const fresh: Kept = { token: this.#request(request, key), freshUntil: Number.POSITIVE_INFINITY }
    this.#kept.delete(key)
    if (this.#kept.size >= MAX_KEPT) this.#kept.delete(this.#kept.keys().next().value as string)
    this.#kept.set(key, fresh)
    return fresh.token
  }

  /** Drops a token that a server did not accept. */
  forget(request: TokenRequest): void {
    this.#kept.delete(keyOf(request))
  }

  async #request(request: TokenRequest, key: string): Promise<Secret> {
    try {
      const started = this.#dependencies.monotonic()
      const { token, lifetimeSeconds } = await this.#fetch(request)
      const kept = this.#kept.get(key)
      if (kept !== undefined) kept.freshUntil = started + lifetimeSeconds * 1000 * RENEW_AT
      return token
    } catch (error) {
      this.#kept.delete(key)
      throw error
    }
  }

  async #fetch({ svid, audience }: TokenRequest): Promise<{ token: Secret; lifetimeSeconds: number }> {
    const form = new URLSearchParams({ grant_type: 'client_credentials', resource: audience })
    const response = await this.#dependencies.post(svid, form.toString())
    if (response.status !== 200) throw refusalError(await readRefusal(response), 'token endpoint')
    const { access_token, token_type, expires_in } = await readJsonBody(response, 16_384)
    if (typeof access_token !== 'string' || typeof expires_in !== 'number' || !(expires_in > 0))
      throw invalid('access_token and expires_in')
    if (typeof token_type !== 'string' || token_type.toLowerCase() !== 'bearer') throw invalid('token_type Bearer')
    return { token: new Secret(access_token), lifetimeSeconds: expires_in }
  }
}

function keyOf({ svid, audience }: TokenRequest): string {
  return `${svid.fingerprint} ${audience}`
}

function invalid(expected: string): DoorwardError {
  return new DoorwardError('token_response_invalid', 'the token endpoint gave an answer that cannot be used', {
    expected,
  })
}
