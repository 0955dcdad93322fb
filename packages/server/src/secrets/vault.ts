/** HashiCorp Vault and OpenBao: the exchange with one server, and the token by which it lets us in. */

import { DoorwardError, isJsonObject, member, scanJson, Secret } from '@doorward/core'
import type { JsonObject, JsonValue } from '@doorward/core'
import { secretUnavailable } from './secret-source.ts'
import type { SecretSource } from './secret-source.ts'

export interface VaultRequest {
  readonly method: 'GET' | 'POST'
  /** Below `/v1/`. */
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string
}

export interface VaultAnswer {
  readonly status: number
  /** Seconds of `Retry-After`; null without. */
  readonly retryAfterSeconds: number | null
  readonly body: Uint8Array
}

export type VaultAuth =
  | { readonly kind: 'token'; readonly token: SecretSource }
  | { readonly kind: 'approle'; readonly mount: string; readonly roleId: string; readonly secretId: SecretSource }

export interface VaultOptions {
  /** Rejects when there is no answer, within bounded time. */
  readonly exchange: (request: VaultRequest) => Promise<VaultAnswer>
  /** Null for none. */
  readonly namespace: string | null
  readonly auth: VaultAuth
  /** Milliseconds that never go back. */
  readonly monotonic: () => number
}

interface Token {
  readonly value: Secret
  /** Of the file that it is from; empty for one of a login. */
  readonly version: string
}

const LIMITS = { maxBytes: 512 * 1024, maxDepth: 16, maxKeys: 10_000 }
/** Shorter than that is not worth a renewal. */
const LEAST_RENEWAL = 1000
const LONGEST_TIMER = 2_000_000_000

/** Asks with a token that is got, renewed at half of its life, and got anew when it is refused. */
export class Vault {
  readonly #options: VaultOptions
  #access: Promise<Token> | null = null
  #renewal: NodeJS.Timeout | null = null
  #closed = false

  constructor(options: VaultOptions) {
    this.#options = options
  }

  close(): void {
    this.#closed = true
    this.#forget()
  }

  /** The answer with a token; one that is refused (403) is replaced once. Throws `secret_unavailable`. */
  async read(path: string): Promise<VaultAnswer> {
    const token = await this.#current()
    const answer = await this.#ask({ method: 'GET', path }, token.value)
    if (answer.status !== 403 || !(await this.#mayReplace(token))) return answer
    return this.#ask({ method: 'GET', path }, (await this.#current()).value)
  }

  /** True when there may be another token than the one that was refused. */
  async #mayReplace(used: Token): Promise<boolean> {
    const { auth } = this.#options
    if (auth.kind === 'token' && (await auth.token.read()).version === used.version) return false
    const now = await this.#access?.catch(() => null)
    if (now === used) this.#forget()
    return true
  }

  /** A token file that somebody keeps fresh is looked at each time. */
  async #current(): Promise<Token> {
    const { auth } = this.#options
    if (auth.kind === 'token' && this.#access !== null) {
      const held = await this.#access.catch(() => null)
      if (held?.version !== (await auth.token.read()).version) this.#forget()
    }
    this.#access ??= this.#begin()
    const begun = this.#access
    begun.catch(() => {
      if (this.#access === begun) this.#access = null
    })
    return begun
  }

  #forget(): void {
    this.#access = null
    if (this.#renewal !== null) clearTimeout(this.#renewal)
    this.#renewal = null
  }

  async #begin(): Promise<Token> {
    const { auth } = this.#options
    if (auth.kind === 'approle') return this.#login(auth)
    const { value, version } = await auth.token.read()
    const answer = await this.#ask({ method: 'GET', path: 'auth/token/lookup-self' }, value)
    // Who may not look at its own token may read all the same; it is only not renewed.
    const data = answer.status === 200 ? objectIn(jsonOf(answer), 'data') : {}
    if (member(data, 'renewable') === true) this.#renewIn(value, secondsIn(member(data, 'ttl')))
    return { value, version }
  }

  async #login({ mount, roleId, secretId }: Extract<VaultAuth, { kind: 'approle' }>): Promise<Token> {
    const { value } = await secretId.read({ fresh: true })
    const body = JSON.stringify({ role_id: roleId, secret_id: value.reveal() })
    const answer = await this.#ask({ method: 'POST', path: `auth/${mount}/login`, body }, null)
    if (answer.status !== 200) throw refused('login', answer)
    const auth = objectIn(jsonOf(answer), 'auth')
    const token = member(auth, 'client_token')
    if (typeof token !== 'string' || !/^[\x21-\x7e]{1,8192}$/.test(token)) throw secretUnavailable('login', 'no token')
    const own = new Secret(token)
    const seconds = secondsIn(member(auth, 'lease_duration'))
    if (member(auth, 'renewable') === true) this.#renewIn(own, seconds)
    else if (seconds > 0) this.#later((seconds * 1000) / 2, () => this.#forget())
    return { value: own, version: '' }
  }

  #renewIn(token: Secret, seconds: number): void {
    if (seconds > 0) this.#later((seconds * 1000) / 2, () => void this.#renew(token))
  }

  #later(milliseconds: number, work: () => void): void {
    if (this.#renewal !== null) clearTimeout(this.#renewal)
    if (this.#closed) return
    this.#renewal = setTimeout(work, Math.min(LONGEST_TIMER, Math.max(LEAST_RENEWAL, milliseconds))).unref()
  }

  /** One that is not renewed is got anew with the next use. */
  async #renew(token: Secret): Promise<void> {
    try {
      const answer = await this.#ask({ method: 'POST', path: 'auth/token/renew-self', body: '{}' }, token)
      if (answer.status === 200)
        return this.#renewIn(token, secondsIn(member(objectIn(jsonOf(answer), 'auth'), 'lease_duration')))
    } catch {
      // As one that was refused.
    }
    if (this.#options.auth.kind === 'approle') this.#forget()
    else this.#later(LEAST_RENEWAL * 10, () => void this.#renew(token))
  }

  async #ask(request: Omit<VaultRequest, 'headers'>, token: Secret | null): Promise<VaultAnswer> {
    const { exchange, namespace } = this.#options
    const headers = {
      'x-vault-request': 'true',
      ...(token === null ? {} : { 'x-vault-token': token.reveal() }),
      ...(namespace === null ? {} : { 'x-vault-namespace': namespace }),
      ...(request.body === undefined ? {} : { 'content-type': 'application/json' }),
    }
    try {
      return await exchange({ ...request, headers })
    } catch (error) {
      throw secretUnavailable(request.path, error instanceof DoorwardError ? (error.got ?? error.code) : 'no answer')
    }
  }
}

/** Throws `secret_unavailable` for what is no JSON object. */
export function jsonOf({ body }: VaultAnswer): JsonObject {
  const scan = scanJson(body, LIMITS)
  if (scan.ok && isJsonObject(scan.value)) return scan.value
  throw secretUnavailable('the answer of the vault', 'no JSON object')
}

/** Empty where there is none. */
export function objectIn(of: JsonObject, name: string): JsonObject {
  const value = member(of, name)
  return isJsonObject(value) ? value : {}
}

export function secondsIn(value: JsonValue | undefined): number {
  return typeof value === 'number' && value > 0 ? value : 0
}

const meanings: Readonly<Record<number, string>> = {
  400: 'it refuses the request',
  403: 'it refuses the token',
  412: 'it has not caught up yet',
  429: 'it is asked too often, or stands by',
  472: 'it stands by for another site',
  473: 'it stands by',
  500: 'it failed',
  502: 'something before it failed',
  503: 'it is sealed, or down for maintenance',
}

/** For anything but what was asked for. */
export function refused(where: string, { status }: VaultAnswer): DoorwardError {
  const meaning = status >= 300 && status < 400 ? 'a redirect: name the address that answers itself' : meanings[status]
  return secretUnavailable(where, `status ${status}${meaning === undefined ? '' : `, ${meaning}`}`)
}
