/** Asks a server behind streamable HTTP what it defines, in a session of the gateway's own. Nothing is called. */

import { DoorwardError, isJsonObject, LIST_LIMITS, member, outwardTls, scanJson } from '@doorward/core'
import type { JsonObject, JsonValue } from '@doorward/core'
import { GrowingBytes, SseParser } from '@doorward/enforcement'
import { Pool } from 'undici'
import type { Dispatcher } from 'undici'
import type { ServerCredential } from '../transports/server-credential.ts'
import { connectorOf } from '../transports/upstream-http.ts'
import type { UpstreamTls } from '../transports/upstream-http.ts'
import { answeredError, answerInvalid, inspect } from './inspection.ts'
import type { Conversation, Inspection } from './inspection.ts'

/** What the gateway proves itself with where it asks for itself, and who hears of it. */
export interface OwnCredential {
  readonly credential: ServerCredential
  readonly onUse: (use: JsonObject) => void
}

export interface HttpServerPlace {
  /** As the way to the server has checked it. */
  readonly url: string
  readonly tls: UpstreamTls
  /** Nothing by default. */
  readonly own?: OwnCredential | null
}

const { maxBytes: MAX_BYTES } = LIST_LIMITS

/** What the server defines. Throws `server_start_failed`, `server_answer_invalid`, `server_answer_error`. */
export function inspectHttpServer(
  place: HttpServerPlace,
  signal: AbortSignal,
  milliseconds?: number,
): Promise<Inspection> {
  return inspect(new HttpConversation(place), signal, milliseconds)
}

/** One request per exchange, one connection. */
class HttpConversation implements Conversation {
  readonly where: string
  readonly #pool: Pool
  readonly #path: string
  readonly #ended = new AbortController()
  #session: string | null = null
  #version: string | null = null
  #nextId = 1

  readonly #own: OwnCredential | null

  constructor({ url: text, tls, own = null }: HttpServerPlace) {
    this.#own = own
    const url = new URL(text)
    this.where = url.origin
    this.#path = `${url.pathname}${url.search}`
    this.#pool = new Pool(url.origin, {
      connections: 1,
      pipelining: 1,
      maxHeaderSize: 16_384,
      allowH2: false,
      connect: tls.kind === 'connector' ? connectorOf(tls.connect) : outwardTls,
    })
  }

  async request(method: string, params: JsonObject): Promise<JsonObject> {
    const id = this.#nextId++
    const meta = member(params, '_meta')
    const modern = isJsonObject(meta) ? member(meta, 'io.modelcontextprotocol/protocolVersion') : undefined
    const mirrored = typeof modern === 'string' ? { 'MCP-Protocol-Version': modern, 'Mcp-Method': method } : {}
    const { statusCode, headers, body } = await this.#post({ jsonrpc: '2.0', id, method, params }, mirrored)
    if (statusCode !== 200) {
      await body.dump({ limit: 65_536 })
      throw answerInvalid(this.where, `status ${statusCode} to ${method}`)
    }
    const type = String(headers['content-type'] ?? '')
    const message = type.startsWith('text/event-stream') ? await answerIn(body, id) : await wholeAnswer(body, id)
    if (message === null) throw answerInvalid(this.where, `no answer to ${method}`)
    const result = member(message, 'result')
    if (!isJsonObject(result)) throw answeredError(this.where, member(message, 'error'))
    if (method === 'initialize') this.#settle(headers['mcp-session-id'], member(result, 'protocolVersion'))
    return result
  }

  async notify(method: string): Promise<void> {
    const { body } = await this.#post({ jsonrpc: '2.0', method })
    await body.dump({ limit: 65_536 })
  }

  giveUp(why: string): void {
    this.#ended.abort(startFailed(this.where, why))
  }

  /** Tells the server that the session is over, if it will hear it, and closes the connection. */
  async stop(): Promise<void> {
    if (this.#session !== null && !this.#ended.signal.aborted) {
      const headers = { ...this.#headers(), ...(await this.#credential().catch(() => ({}))) }
      const goodbye = { path: this.#path, method: 'DELETE', headers } as const
      const signal = AbortSignal.timeout(1000)
      await this.#pool
        .request({ ...goodbye, signal })
        .then(({ body }) => body.dump({ limit: 65_536 }))
        .catch(() => undefined)
    }
    await this.#pool.destroy()
  }

  #settle(session: string | string[] | undefined, version: JsonValue | undefined): void {
    if (typeof session === 'string' && /^[\x21-\x7e]{1,256}$/.test(session)) this.#session = session
    if (typeof version === 'string' && /^[\x21-\x7e]{1,64}$/.test(version)) this.#version = version
  }

  async #post(message: JsonObject, mirrored: Readonly<Record<string, string>> = {}): Promise<Dispatcher.ResponseData> {
    const { signal } = this.#ended
    const body = JSON.stringify(message)
    const headers = { ...this.#headers(), ...mirrored, ...(await this.#credential()) }
    try {
      return await this.#pool.request({ path: this.#path, method: 'POST', headers, body, signal })
    } catch (error) {
      if (error instanceof DoorwardError) throw error
      const code = error instanceof Error && 'code' in error ? String(error.code) : String(error)
      throw startFailed(this.where, code)
    }
  }

  async #credential(): Promise<Readonly<Record<string, string>>> {
    if (this.#own === null) return {}
    const found = await this.#own.credential.fields({ principal: null })
    if ('code' in found) throw startFailed(this.where, found.explanation)
    if (Object.keys(found.use).length > 0) this.#own.onUse(found.use)
    return found.fields
  }

  #headers(): Record<string, string> {
    return {
      'Content-Type': 'application/json',
      Accept: 'application/json, text/event-stream',
      ...(this.#session === null ? {} : { 'Mcp-Session-Id': this.#session }),
      ...(this.#version === null ? {} : { 'MCP-Protocol-Version': this.#version }),
    }
  }
}

function startFailed(where: string, got: string): DoorwardError {
  return new DoorwardError('server_start_failed', 'the server could not be asked what it defines', { where, got })
}

async function wholeAnswer(body: Dispatcher.ResponseData['body'], id: number): Promise<JsonObject | null> {
  const bytes = new GrowingBytes()
  for await (const chunk of body as AsyncIterable<Uint8Array>) {
    if (bytes.length + chunk.length > MAX_BYTES) return null
    bytes.append(chunk)
  }
  return answerOf(bytes.view(), id)
}

/** The stream is left as soon as the answer is there. */
async function answerIn(body: Dispatcher.ResponseData['body'], id: number): Promise<JsonObject | null> {
  const parser = new SseParser(MAX_BYTES)
  for await (const chunk of body as AsyncIterable<Uint8Array>) {
    const events = parser.push(chunk)
    if (events === null) return null
    for (const { data } of events) {
      const answer = data === null ? null : answerOf(data, id)
      if (answer !== null) return answer
    }
  }
  return null
}

function answerOf(bytes: Uint8Array, id: number): JsonObject | null {
  const scan = scanJson(bytes, LIST_LIMITS)
  return scan.ok && isJsonObject(scan.value) && member(scan.value, 'id') === id ? scan.value : null
}
