/** The admin APIs of authority and gateway, called as an operator. */

import { DoorwardError, Secret } from '@doorward/core'
import type { JsonObject, JsonValue, SpiffeId } from '@doorward/core'
import { readJsonBody } from './https-exchange.ts'
import type { CallResponse } from './https-exchange.ts'
import { readLines } from './lines.ts'
import { readRefusal, refusalError } from './refusal.ts'
import type { SignedFetch } from './signed-fetch.ts'

/** One admin API: where it is, whom its tokens name, who must answer. */
export interface AdminEndpoint {
  readonly url: string
  readonly audience: string
  readonly expectedId: SpiffeId
}

export interface WorkloadRow {
  readonly id: string
  readonly roles: readonly string[]
  /** Whatever else the authority tells about it. */
  readonly details: JsonObject
}

export interface JoinInvitation {
  /** The join string: hand it over by file, never by argument or environment. */
  readonly joinString: Secret
  /** Seconds since 1970. */
  readonly expiresAt: number
}

/** One entry of a record as the gateway tells it. */
export interface RecordLine {
  readonly origin: string
  readonly index: number
  readonly kind: string
  readonly document: JsonObject
}

const LIMIT = 16 * 1024 * 1024
const LINE = 256 * 1024

/** All methods throw the server's refusal code, `response_invalid`, or what the call throws. */
export class AdminClient {
  readonly #fetch: SignedFetch
  readonly #endpoint: AdminEndpoint

  constructor(fetch: SignedFetch, endpoint: AdminEndpoint) {
    this.#fetch = fetch
    this.#endpoint = endpoint
  }

  async listWorkloads(): Promise<readonly WorkloadRow[]> {
    const { workloads } = await this.#json('GET', '/v1/workloads')
    if (!Array.isArray(workloads)) throw invalid('workloads')
    return workloads.map(workloadRow)
  }

  /** Registers a workload with its roles; `more` are further members of the request. */
  addWorkload(id: string, roles: readonly string[], more: JsonObject = {}): Promise<JsonObject> {
    return this.#json('POST', '/v1/workloads', { ...more, id, roles })
  }

  removeWorkload(id: string): Promise<JsonObject> {
    return this.#json('DELETE', `/v1/workloads?${new URLSearchParams({ id }).toString()}`)
  }

  /** A join string with a new single-use token. */
  async invite(id: string): Promise<JoinInvitation> {
    const { join_string, expires_at } = await this.#json('POST', '/v1/join-strings', { id })
    if (typeof join_string !== 'string' || typeof expires_at !== 'number') throw invalid('join_string and expires_at')
    return { joinString: new Secret(join_string), expiresAt: expires_at }
  }

  status(): Promise<JsonObject> {
    return this.#json('GET', '/v1/status')
  }

  /** Entries from index `from` on; with `follow` the stream stays open until the signal aborts. */
  async *record(
    options: { readonly from?: number; readonly follow?: boolean; readonly signal?: AbortSignal } = {},
  ): AsyncGenerator<RecordLine> {
    const query = new URLSearchParams({
      from: String(options.from ?? 0),
      ...(options.follow === true ? { follow: 'true' } : {}),
    })
    const response = await this.#call('GET', `/v1/record?${query.toString()}`, undefined, options.signal)
    for await (const line of readLines(response.body as AsyncIterable<Uint8Array>, LINE)) {
      if (line !== '') yield recordLine(line)
    }
  }

  async #json(method: string, path: string, body?: JsonObject): Promise<JsonObject> {
    const response = await this.#call(method, path, body, undefined)
    if (response.status === 204) {
      response.body.resume()
      return {}
    }
    return readJsonBody(response, LIMIT)
  }

  async #call(
    method: string,
    path: string,
    body: JsonObject | undefined,
    signal: AbortSignal | undefined,
  ): Promise<CallResponse> {
    const { url, audience, expectedId } = this.#endpoint
    const response = await this.#fetch.call(new URL(path, url), {
      method,
      audience,
      expectedId,
      headers: {
        accept: 'application/json, application/x-ndjson',
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(signal === undefined ? {} : { signal }),
    })
    if (response.status >= 200 && response.status < 300) return response
    throw refusalError(await readRefusal(response), `${method} ${new URL(path, url).href}`)
  }
}

function workloadRow(value: JsonValue): WorkloadRow {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid('workloads as objects')
  const details = value as JsonObject
  const { id, roles } = details
  if (typeof id !== 'string' || !Array.isArray(roles)) throw invalid('workloads with id and roles')
  return { id, roles: roles.filter((role) => typeof role === 'string'), details }
}

function recordLine(line: string): RecordLine {
  const document = parsed(line)
  const { origin, index, kind } = document
  if (typeof origin !== 'string' || typeof index !== 'number' || typeof kind !== 'string')
    throw invalid('entries with origin, index and kind')
  return { origin, index, kind, document }
}

function parsed(line: string): JsonObject {
  try {
    const value: unknown = JSON.parse(line)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as JsonObject
  } catch {
    // Told below.
  }
  throw invalid('one JSON object per line')
}

function invalid(expected: string): DoorwardError {
  return new DoorwardError('response_invalid', 'the admin API gave an answer that cannot be read', { expected })
}
