/**
 * One account at one authority: its directory, its nonces, and requests that are signed by the account. A nonce is used
 * once; one that the authority no longer knows is replaced by the one that it hands out with that refusal (RFC 8555 §6.5).
 */

import type { JsonObject, JsonValue } from '@doorward/core'
import { signedRequest } from './acme-jws.ts'
import type { AccountKey } from './acme-jws.ts'
import { asUrl, problemOf, readDirectory, readObject } from './acme-messages.ts'
import type { Directory } from './acme-messages.ts'
import { AcmeRefusal, unfit } from './acme-problem.ts'
import { longestRetrySeconds } from './renewal-time.ts'

type HeaderValue = string | readonly string[] | undefined

export interface AcmeAnswer {
  readonly status: number
  /** Names in lowercase. */
  readonly headers: Readonly<Record<string, HeaderValue>>
  /** At most 64 KiB. */
  readonly body: Uint8Array
}

/** Sends one request. Throws why there is no answer. Judges the address, and whether the authority is who it should be. */
export type AcmeExchange = (
  url: URL,
  request: {
    readonly method: 'GET' | 'HEAD' | 'POST'
    readonly headers?: Readonly<Record<string, string>>
    readonly body?: string
  },
) => Promise<AcmeAnswer>

export interface AcmeConnectionParts {
  readonly exchange: AcmeExchange
  readonly directoryUrl: string
  readonly key: AccountKey
  /** Where the authority writes about certificates; null names nobody. */
  readonly email: string | null
}

const NONCE_ATTEMPTS = 4
const NONCE = /^[\w-]{1,512}$/

export class AcmeConnection {
  readonly #parts: AcmeConnectionParts
  #directory: Directory | null = null
  #account: string | null = null
  #nonce: string | null = null

  constructor(parts: AcmeConnectionParts) {
    this.#parts = parts
  }

  get key(): AccountKey {
    return this.#parts.key
  }

  /** Throws `acme_refused`, `acme_answer`, or what the exchange throws, as all here. */
  async directory(): Promise<Directory> {
    if (this.#directory !== null) return this.#directory
    const where = this.#parts.directoryUrl
    const answer = await this.#parts.exchange(new URL(where), { method: 'GET' })
    if (answer.status !== 200) throw refusalOf(where, answer)
    this.#directory = readDirectory(where, readObject(where, answer.body))
    return this.#directory
  }

  /** Opens the account of the key, or finds the one that it has (§7.3), and has it know our address. */
  async register(): Promise<void> {
    const { newAccount } = await this.directory()
    const contact = this.#contact()
    const answer = await this.#send(newAccount, { termsOfServiceAgreed: true, contact })
    const account = asUrl(newAccount, 'Location', single(answer.headers['location']))
    const known = readObject(newAccount, answer.body)
    if (known['status'] !== 'valid')
      throw unfit(newAccount, 'a valid account', JSON.stringify(known['status']) ?? 'none')
    this.#account = account
    const isOld = answer.status === 200
    if (isOld && contact.length > 0 && JSON.stringify(known['contact'] ?? []) !== JSON.stringify(contact))
      await this.#send(account, { contact })
  }

  #contact(): readonly string[] {
    const { email } = this.#parts
    return email === null ? [] : [`mailto:${email}`]
  }

  /** What is there, as JSON. */
  async get(url: string): Promise<AcmeObject> {
    return objectOf(url, await this.#send(url, null))
  }

  async post(url: string, payload: JsonValue): Promise<AcmeObject> {
    return objectOf(url, await this.#send(url, payload))
  }

  /** What is there, whatever it is. */
  async download(url: string, type: string): Promise<Uint8Array> {
    return (await this.#send(url, null, type)).body
  }

  async #send(url: string, payload: JsonValue | null, accept = 'application/json'): Promise<AcmeAnswer> {
    for (let attempt = 1; ; attempt++) {
      const nonce = await this.#takeNonce()
      const body = await signedRequest({ url, nonce, account: this.#account, payload }, this.#parts.key)
      const headers = { 'content-type': 'application/jose+json', accept }
      const answer = await this.#parts.exchange(new URL(url), { method: 'POST', headers, body })
      this.#keepNonce(answer)
      if (answer.status >= 200 && answer.status < 300) return answer
      const refusal = refusalOf(url, answer)
      if (refusal.type !== 'badNonce' || attempt >= NONCE_ATTEMPTS) throw refusal
    }
  }

  async #takeNonce(): Promise<string> {
    const kept = this.#nonce
    this.#nonce = null
    if (kept !== null) return kept
    const { newNonce } = await this.directory()
    const answer = await this.#parts.exchange(new URL(newNonce), { method: 'HEAD' })
    if (answer.status !== 200 && answer.status !== 204) throw refusalOf(newNonce, answer)
    const nonce = single(answer.headers['replay-nonce'])
    if (nonce === undefined || !NONCE.test(nonce)) throw unfit(newNonce, 'a Replay-Nonce', nonce ?? 'none')
    return nonce
  }

  #keepNonce({ headers }: AcmeAnswer): void {
    const nonce = single(headers['replay-nonce'])
    this.#nonce = nonce !== undefined && NONCE.test(nonce) ? nonce : null
  }
}

export interface AcmeObject {
  readonly object: JsonObject
  /** Where what was made is; null where nothing says it. */
  readonly location: string | null
  readonly retryAfterSeconds: number | null
}

function objectOf(url: string, answer: AcmeAnswer): AcmeObject {
  const location = single(answer.headers['location'])
  return {
    object: readObject(url, answer.body),
    location: location === undefined ? null : asUrl(url, 'Location', location),
    retryAfterSeconds: retryAfter(answer),
  }
}

function refusalOf(where: string, answer: AcmeAnswer): AcmeRefusal {
  const { status } = answer
  const { type, detail } = problemIn(answer) ?? { type: 'unknown', detail: 'without a reason' }
  return new AcmeRefusal({ where, status, type, detail, retryAfterSeconds: retryAfter(answer) })
}

/** A page of something in between is no problem document, and no mistake of ours either. */
function problemIn({ body }: AcmeAnswer) {
  try {
    return problemOf(readObject('', body))
  } catch {
    return null
  }
}

/** Seconds alone: a date would be one of another clock. */
function retryAfter({ headers }: AcmeAnswer): number | null {
  const text = single(headers['retry-after']) ?? ''
  return /^\d{1,9}$/.test(text) ? Math.min(Number(text), longestRetrySeconds) : null
}

function single(value: HeaderValue): string | undefined {
  return typeof value === 'string' ? value : undefined
}
