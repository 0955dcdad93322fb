/**
 * Access tokens per audience, bound to one generation of the SVID, kept until three quarters of their life are over: for the
 * workload itself, for whoever has signed in at it, or for whoever has called it.
 */

import { DoorwardError, Secret, toBase64url, userName, utf8 } from '@doorward/core'
import type { EpochSeconds } from '@doorward/core'
import { readJsonBody } from './https-exchange.ts'
import type { CallResponse } from './https-exchange.ts'
import { signedLoginProof } from './login.ts'
import type { Login, PersonSource } from './login.ts'
import { sha256 } from './platform/hash.ts'
import { readRefusal, refusalError } from './refusal.ts'
import type { Svid } from './svid.ts'

/** What else a token is asked for with. */
export interface TokenOptions {
  /** The token with which somebody has called us: ours is to act for them, and never to do more than theirs (RFC 8693). */
  readonly onBehalfOf?: Secret
  /** SPIFFE IDs of those who may exchange the token, on the whole way from here; an empty list for nobody. Whoever is called by default. */
  readonly mayAct?: readonly string[]
  /** Permissions that the token is narrowed to, such as `read:files/*`; by default those of the one that is shown, else all. */
  readonly scope?: readonly string[]
}

export interface TokenRequest extends TokenOptions {
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

const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'
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
    const { onBehalfOf, audience } = request
    if (person === undefined || onBehalfOf !== undefined || person.isOwn(audience)) return this.#shared(request, null)
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
    const own = ownKey(request)
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

  async #personForm({ svid, audience }: TokenRequest, { identity, key }: Login): Promise<Record<string, string>> {
    const token = identity.reveal()
    const now = this.#dependencies.person?.now() ?? (0 as EpochSeconds)
    const use = { use: 'exchange', certificateFingerprint: svid.fingerprint, audience, token } as const
    return {
      grant_type: EXCHANGE,
      subject_token: token,
      subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
      login_proof: JSON.stringify(await signedLoginProof(key, use, now)),
    }
  }

  async #form(request: TokenRequest, login: Login | null): Promise<URLSearchParams> {
    const { audience, onBehalfOf, mayAct, scope } = request
    const grant =
      onBehalfOf !== undefined
        ? callerForm(onBehalfOf)
        : login === null
          ? { grant_type: 'client_credentials' }
          : await this.#personForm(request, login)
    return new URLSearchParams({
      ...grant,
      resource: audience,
      ...(scope === undefined ? {} : { scope: scope.join(' ') }),
      ...(mayAct === undefined ? {} : { may_act: mayAct.join(' ') || 'none' }),
    })
  }

  async #fetch(request: TokenRequest, login: Login | null): Promise<{ token: Secret; lifetimeSeconds: number }> {
    const form = await this.#form(request, login)
    const response = await this.#dependencies.post(request.svid, form.toString())
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

function callerForm(token: Secret): Record<string, string> {
  return {
    grant_type: EXCHANGE,
    subject_token: token.reveal(),
    subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
  }
}

function ownKey({ svid, audience }: TokenRequest): string {
  return `${svid.fingerprint} ${audience}`
}

/** One sign-in has one expiry and one person; of a token that was shown a digest tells it from others. */
function keyOf(request: TokenRequest, login: Login | null): string {
  const { onBehalfOf, mayAct, scope } = request
  const shown = onBehalfOf === undefined ? null : toBase64url(sha256(utf8(onBehalfOf.reveal())))
  const more = [shown, mayAct ?? null, scope ?? null, login === null ? null : [login.expires, userName(login.user)]]
  return more.every((one) => one === null) ? ownKey(request) : `${ownKey(request)} ${JSON.stringify(more)}`
}

function invalid(expected: string): DoorwardError {
  return new DoorwardError('token_response_invalid', 'the token endpoint gave an answer that cannot be used', {
    expected,
  })
}
