/**
 * The client side of one streamable HTTP session of MCP (2025-11-25 and earlier), message by message and byte for byte: it
 * moves JSON texts and understands only what the transport needs. Requests of 2026-07-28 need no session and each stand
 * alone: to cancel one is to close its exchange.
 *
 * A session that the server has ended is not opened again behind the client's back: its state is gone, and only the host can
 * initialize anew. The client is told so.
 */

import { DoorwardError, isDoorwardError, isJsonObject, isRequestId, scanJson, utf8 } from '@doorward/core'
import type { JsonObject, JsonValue, RequestId, SpiffeId } from '@doorward/core'
import { denialTable, isDenialCode } from '@doorward/enforcement'
import { readEvents } from './event-stream.ts'
import { readBody } from './https-exchange.ts'
import type { CallResponse } from './https-exchange.ts'
import { oneLine, readOutgoing, rpcErrorLine } from './mcp-outgoing.ts'
import type { Outgoing } from './mcp-outgoing.ts'
import { readRefusal } from './refusal.ts'
import type { ServerRefusal } from './refusal.ts'
import { backoffMilliseconds } from './runtime.ts'
import type { Runtime } from './runtime.ts'
import type { SignedFetch } from './signed-fetch.ts'
import { ToolHeaders } from './tool-headers.ts'

export interface McpEndpoint {
  /** `<gateway>/mcp/<server>` */
  readonly url: string
  readonly audience: string
  readonly expectedId: SpiffeId
}

/** Which decision the gateway took about a message. */
export interface Decision {
  readonly requestId: RequestId | null
  readonly code: string | null
  readonly decision: string | null
}

export interface McpSessionOptions {
  readonly fetch: SignedFetch
  readonly endpoint: McpEndpoint
  readonly runtime: Runtime
  /** Takes one message of the server, a JSON text without line ends. Awaited: a slow taker slows the server down. */
  readonly deliver: (message: string) => Promise<void>
  /** Hears what has no message to answer: refused notifications, streams that broke. One line each. */
  readonly onNotice: (text: string) => void
  readonly onDecision?: (decision: Decision) => void
}

const MAX_MESSAGE = 64 * 1024 * 1024
const BACKOFF = { first: 500, cap: 30_000 }
const MAX_RESUMPTIONS = 5
const END_TIMEOUT = 2000
const RESTART = 'the session has ended: restart this MCP server in your client'

type Request = Extract<Outgoing, { kind: 'request' }>

interface OpenRequest {
  readonly release: AbortController
  cancelled: boolean
  readonly modern: boolean
}

export class McpSession {
  readonly #options: McpSessionOptions
  /** Requests under way, so that a cancelled one can be let go of. */
  readonly #open = new Map<RequestId, OpenRequest>()
  readonly #toolHeaders = new ToolHeaders()
  #sessionId: string | null = null
  #version: string | null = null

  constructor(options: McpSessionOptions) {
    this.#options = options
  }

  /** True once the server has given a session id or answered `initialize`. */
  get initialized(): boolean {
    return this.#sessionId !== null || this.#version !== null
  }

  /** Sends one message of the client. Resolves when its exchange is over: answered, refused (with an error for its id) or accepted. Never rejects. */
  async send(line: string, signal?: AbortSignal): Promise<void> {
    const message = readOutgoing(line)
    if (message.kind === 'malformed') {
      await this.#options.deliver(rpcErrorLine(message.id, { code: message.rpcCode, message: message.problem }))
      return
    }
    const modern = message.kind !== 'response' && message.modern !== null
    const own: OpenRequest = { release: new AbortController(), cancelled: false, modern }
    if (message.kind === 'request') this.#open.set(message.id, own)
    const cancels =
      message.kind === 'notification' && message.cancels !== null ? this.#open.get(message.cancels) : undefined
    if (cancels !== undefined) cancels.cancelled = true
    if (cancels?.modern === true || (message.kind === 'notification' && message.cancels !== null && modern)) {
      cancels?.release.abort()
      return
    }
    const either = signal === undefined ? own.release.signal : AbortSignal.any([signal, own.release.signal])
    try {
      await this.#receive(message, await this.#post(line, message, either), either)
      // Nobody waits for the answer any more, and not every server ends the stream of a cancelled request.
      cancels?.release.abort()
    } catch (error) {
      if (!either.aborted && !own.cancelled) await this.#fail(message, error)
    } finally {
      if (message.kind === 'request' && this.#open.get(message.id) === own) this.#open.delete(message.id)
    }
  }

  /** Keeps the server's own stream open until the signal aborts, the server has none (405) or the session is over. Never rejects. */
  async listen(signal: AbortSignal): Promise<void> {
    let lastEventId: string | null = null
    let retry: number | null = null
    for (let attempt = 0; !signal.aborted; attempt++) {
      try {
        const response = await this.#get(lastEventId, signal)
        if (response.status !== 200 || !isEventStream(response)) {
          if (!(await this.#keepListening(response))) return
        } else {
          attempt = 0
          for await (const event of eventsOf(response)) {
            lastEventId = event.lastEventId ?? lastEventId
            retry = event.retryMilliseconds ?? retry
            if (event.data !== '' && event.type === 'message') await this.#options.deliver(oneLine(event.data))
          }
        }
      } catch (error) {
        if (!signal.aborted) this.#options.onNotice(`the server's stream broke: ${reasonOf(error)}`)
      }
      const pause = retry ?? backoffMilliseconds(attempt, BACKOFF, this.#options.runtime.chance())
      if (!signal.aborted) await this.#options.runtime.sleep(Math.min(pause, BACKOFF.cap), signal)
    }
  }

  /** Ends the session at the server (DELETE), within two seconds. Never rejects. */
  async end(): Promise<void> {
    if (this.#sessionId === null) return
    try {
      const response = await this.#call('DELETE', {}, AbortSignal.timeout(END_TIMEOUT))
      response.body.resume()
    } catch {
      // The server lets idle sessions go by itself.
    }
    this.#sessionId = null
  }

  #post(
    line: string,
    message: Exclude<Outgoing, { kind: 'malformed' }>,
    signal: AbortSignal | undefined,
  ): Promise<CallResponse> {
    const modern = message.kind === 'response' ? null : message.modern
    const headers = {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      ...modern,
      ...this.#parametersOf(message),
    }
    return this.#call('POST', headers, signal, { line, sessionless: modern !== null })
  }

  #parametersOf(message: Exclude<Outgoing, { kind: 'malformed' }>): Readonly<Record<string, string>> {
    if (message.kind !== 'request' || message.modern === null || message.tool === null) return {}
    return this.#toolHeaders.of(message.tool.name, message.tool.args)
  }

  #get(lastEventId: string | null, signal: AbortSignal | undefined): Promise<CallResponse> {
    return this.#call(
      'GET',
      { accept: 'text/event-stream', ...(lastEventId === null ? {} : { 'last-event-id': lastEventId }) },
      signal,
    )
  }

  #call(
    method: string,
    headers: Record<string, string>,
    signal: AbortSignal | undefined,
    post?: { readonly line: string; readonly sessionless: boolean },
  ): Promise<CallResponse> {
    const { fetch, endpoint } = this.#options
    const legacy = post?.sessionless !== true
    const session = legacy && this.#sessionId !== null ? { 'mcp-session-id': this.#sessionId } : {}
    const version = legacy && this.#version !== null ? { 'mcp-protocol-version': this.#version } : {}
    return fetch.call(endpoint.url, {
      method,
      headers: { ...session, ...version, ...headers },
      audience: endpoint.audience,
      expectedId: endpoint.expectedId,
      ...(post === undefined ? {} : { body: post.line }),
      ...(signal === undefined ? {} : { signal }),
    })
  }

  async #receive(
    message: Exclude<Outgoing, { kind: 'malformed' }>,
    response: CallResponse,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    this.#tellDecision(message, response)
    if (response.status < 200 || response.status >= 300) return this.#refused(message, await readRefusal(response))
    if (message.kind !== 'request') {
      response.body.resume()
      return
    }
    const session = response.headers['mcp-session-id']
    if (message.method === 'initialize' && typeof session === 'string') this.#sessionId = session
    if (isEventStream(response)) return this.#stream(message, response, signal)
    const text = new TextDecoder().decode(await readBody(response, MAX_MESSAGE))
    if (text.trim() === '')
      throw new DoorwardError(
        'upstream_invalid',
        `the server answered a request with HTTP status ${response.status} and no body`,
      )
    this.#learn(message, text)
    await this.#options.deliver(oneLine(text))
  }

  /** Relays a POST's stream; resumes it when it breaks before the response (2025-11-25 basic/transports). */
  async #stream(message: Request, first: CallResponse, signal: AbortSignal | undefined): Promise<void> {
    const { runtime } = this.#options
    const at = { lastEventId: null as string | null, retry: null as number | null, answered: false }
    let response = first
    for (let attempt = 0; ; attempt++) {
      await this.#relay(message, response, at).catch((error: unknown) => {
        if (at.lastEventId === null || isDoorwardError(error, 'event_too_large')) throw error
      })
      if (at.answered || signal?.aborted === true) return
      if (at.lastEventId === null || attempt >= MAX_RESUMPTIONS) break
      await runtime.sleep(
        Math.min(at.retry ?? backoffMilliseconds(attempt, BACKOFF, runtime.chance()), BACKOFF.cap),
        signal,
      )
      response = await this.#get(at.lastEventId, signal)
      if (response.status !== 200) return this.#refused(message, await readRefusal(response))
    }
    throw new DoorwardError('upstream_unavailable', 'the server ended its stream without an answer')
  }

  async #relay(
    message: Request,
    response: CallResponse,
    at: { lastEventId: string | null; retry: number | null; answered: boolean },
  ): Promise<void> {
    for await (const event of eventsOf(response)) {
      at.lastEventId = event.lastEventId ?? at.lastEventId
      at.retry = event.retryMilliseconds ?? at.retry
      if (event.data === '' || event.type !== 'message') continue
      at.answered ||= this.#learn(message, event.data)
      await this.#options.deliver(oneLine(event.data))
    }
  }

  /** True when the text answers the request. Reads the negotiated version from the answer to `initialize`. */
  #learn(message: Request, text: string): boolean {
    const answer = answerTo(text, message.id)
    if (answer === null) return false
    const result = answer['result']
    if (message.method === 'tools/list' && message.modern !== null) this.#toolHeaders.learn(result)
    if (message.method === 'initialize' && isJsonObject(result) && typeof result['protocolVersion'] === 'string') {
      this.#version = result['protocolVersion']
    }
    return true
  }

  /** False when there is nothing to listen to. */
  async #keepListening(response: CallResponse): Promise<boolean> {
    const refusal = await readRefusal(response)
    if (refusal.status === 405) return false
    if (refusal.status === 404 || refusal.status === 400) {
      this.#options.onNotice(refusal.status === 404 ? RESTART : `the server's stream was refused: ${refusal.text}`)
      return false
    }
    this.#options.onNotice(`the server's stream was refused: ${refusal.text}`)
    return true
  }

  async #refused(message: Exclude<Outgoing, { kind: 'malformed' }>, refusal: ServerRefusal): Promise<void> {
    if (message.kind !== 'request') {
      const what = message.kind === 'notification' ? message.method : 'a response of the client'
      this.#options.onNotice(`${what} was refused: ${refusal.text}`)
      return
    }
    const ended =
      refusal.status === 404 && message.method !== 'initialize' && this.#sessionId !== null && message.modern === null
    const { code, text, data } = rpcErrorOf(refusal)
    await this.#options.deliver(rpcErrorLine(message.id, { code, message: ended ? RESTART : text, data }))
  }

  async #fail(message: Exclude<Outgoing, { kind: 'malformed' }>, error: unknown): Promise<void> {
    const code = isDoorwardError(error) ? error.code : 'internal'
    if (message.kind !== 'request') {
      this.#options.onNotice(`a message of the client was not delivered: ${reasonOf(error)}`)
      return
    }
    const rpcCode = isDenialCode(code) ? denialTable[code].rpc : -31502
    await this.#options.deliver(rpcErrorLine(message.id, { code: rpcCode, message: reasonOf(error), data: { code } }))
  }

  #tellDecision(message: Outgoing, { headers }: CallResponse): void {
    const text = (name: string) => {
      const value = headers[name]
      return typeof value === 'string' ? value : null
    }
    const requestId = message.kind === 'request' ? message.id : null
    this.#options.onDecision?.({ requestId, code: text('doorward-code'), decision: text('doorward-decision') })
  }
}

function isEventStream({ headers }: CallResponse): boolean {
  return /^text\/event-stream\s*(?:;|$)/i.test(headers['content-type'] ?? '')
}

function eventsOf(response: CallResponse): ReturnType<typeof readEvents> {
  return readEvents(response.body as AsyncIterable<Uint8Array>, MAX_MESSAGE)
}

/** The message when it is the response to this id. */
function answerTo(text: string, id: RequestId): JsonObject | null {
  const scan = scanJson(utf8(text), { maxBytes: MAX_MESSAGE, maxDepth: 256, maxKeys: 5_000_000 })
  if (!scan.ok || !isJsonObject(scan.value)) return null
  const { value } = scan
  return value['method'] === undefined && isRequestId(value['id']) && value['id'] === id ? value : null
}

/** The gateway's JSON-RPC error when it sent one, else one that says no more than the refusal's text. */
function rpcErrorOf({ body, code, decision, text, status }: ServerRefusal): {
  code: number
  text: string
  data: JsonValue
} {
  const error = isJsonObject(body ?? undefined) ? (body as JsonObject)['error'] : undefined
  const plain = { code, decision, http: status }
  if (isJsonObject(error) && typeof error['code'] === 'number')
    return { code: error['code'], text, data: error['data'] ?? plain }
  const known = code !== null && isDenialCode(code) ? denialTable[code].rpc : -31502
  return { code: known, text, data: plain }
}

function reasonOf(error: unknown): string {
  if (!(error instanceof DoorwardError)) return error instanceof Error ? error.message : String(error)
  return error.got === undefined ? error.message : `${error.message}: ${error.got}`
}
