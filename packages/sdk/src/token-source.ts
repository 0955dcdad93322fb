/**
 * Access tokens per audience, bound to one generation of the SVID, kept until three quarters of their life are over: for the
 * workload itself, or for whoever has signed in at it.
 */

import { DoorwardError, Secret, userName } from '@doorward/core'
import type { EpochSeconds } from '@doorward/core'
import { readJsonBody } from './https-exchange.ts'
import type { CallResponse } from './https-exchange.ts'
import { signedLoginProof } from './login.ts'
import type { Login, PersonSource } from './login.ts'
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
  /** On whose behalf calls are made; nobody's by default. */
  readonly person?: {
    readonly source: PersonSource
    readonly now: () => EpochSeconds
    /** Audiences that the workload speaks to for itself alone: the authority. */
    readonly isOwn: (audience: string) => boolean
  }
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
    const { person } = this.#dependencies
    if (person === undefined || person.isOwn(request.audience)) return this.#shared(request, null)
    return person.source.current().then((login) => this.#shared(request, login))
  }

  #shared(request: TokenRequest, login: Login | null): Promise<Secret> {
    const key = keyOf(request, login)
    const kept = this.#kept.get(key)
    if (kept !== undefined && this.#dependencies.monotonic() < kept.freshUntil) return kept.token
    const fresh: Kept = { token: this.#request(request, key, login), freshUntil: Number.POSITIVE_INFINITY }
    this.#kept.delete(key)
    if (this.#kept.size >= MAX_KEPT) this.#kept.delete(this.#kept.keys().next().value as string)
    this.#kept.set(key, fresh)
    return fresh.token
  }

  /** Drops a token that a server did not accept. */
  forget(request: TokenRequest): void {
    const own = keyOf(request, null)
    for (const key of this.#kept.keys()) if (key === own || key.startsWith(`${own} `)) this.#kept.delete(key)
  }

  async #request(request: TokenRequest, key: string, login: Login | null): Promise<Secret> {
    try {
      const started = this.#dependencies.monotonic()
      const { token, lifetimeSeconds } = await this.#fetch(request, login)
      const kept = this.#kept.get(key)
      if (kept !== undefined) kept.freshUntil = started + lifetimeSeconds * 1000 * RENEW_AT
      return token
    } catch (error) {
      this.#kept.delete(key)
      throw error
    }
  }

  async #exchangeForm({ svid, audience }: TokenRequest, { identity, key }: Login): Promise<URLSearchParams> {
    const token = identity.reveal()
    const now = this.#dependencies.person?.now() ?? (0 as EpochSeconds)
    const use = { use: 'exchange', certificateFingerprint: svid.fingerprint, audience, token } as const
    return new URLSearchParams({
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      subject_token: token,
      subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
      resource: audience,
      login_proof: JSON.stringify(await signedLoginProof(key, use, now)),
    })
  }

  async #fetch(
    { svid, audience }: TokenRequest,
    login: Login | null,
  ): Promise<{ token: Secret; lifetimeSeconds: number }> {
    const form =
      login === null
        ? new URLSearchParams({ grant_type: 'client_credentials', resource: audience })
        : await this.#exchangeForm({ svid, audience }, login)
    const response = await this.#dependencies.post(svid, form.toString())
    if (response.status !== 200) {
      const refusal = await readRefusal(response)
      throw login !== null && ENDED.has(refusal.code ?? '') ? ended(login) : refusalError(refusal, 'token endpoint')
    }
    const { access_token, token_type, expires_in } = await readJsonBody(response, 16_384)
    if (typeof access_token !== 'string' || typeof expires_in !== 'number' || !(expires_in > 0))
      throw invalid('access_token and expires_in')
    if (typeof token_type !== 'string' || token_type.toLowerCase() !== 'bearer') throw invalid('token_type Bearer')
    return { token: new Secret(access_token), lifetimeSeconds: expires_in }
  }
}

/** Refusals that another sign-in cures. */
const ENDED: ReadonlySet<string> = new Set(['grant_refused', 'identity_denied'])

function ended({ user }: Login): DoorwardError {
  return new DoorwardError('login_ended', `the sign-in of ${userName(user)} counts no more`, { next: 'doorward login' })
}

/** One sign-in has one expiry and one person. */
function keyOf({ svid, audience }: TokenRequest, login: Login | null): string {
  const own = `${svid.fingerprint} ${audience}`
  return login === null ? own : `${own} ${login.expires} ${userName(login.user)}`
}

function invalid(expected: string): DoorwardError {
  return new DoorwardError('token_response_invalid', 'the token endpoint gave an answer that cannot be used', {
    expected,
  })
}
