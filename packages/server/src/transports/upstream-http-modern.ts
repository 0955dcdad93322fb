/** Requests of the modern era to servers behind streamable HTTP: each stands alone, and ends when its caller goes. */

import type { Dispatcher } from 'undici'
import { DISCOVER_HEADERS, DISCOVER_REQUEST, encodeMirrored } from '@doorward/core'
import { GrowingBytes, SseParser } from '@doorward/enforcement'
import type { Permit, McpCall } from '@doorward/enforcement'
import { ServerVersions } from './server-versions.ts'
import type { DiscoveryAnswer } from './server-versions.ts'
import { HttpAnswer } from './upstream-http-answer.ts'
import type { CredentialedAnswer, Given, Sender } from './server-credential.ts'
import { ownHeaders, ownUse, REPEATABLE } from './upstream-http-wire.ts'
import type { Wire } from './upstream-http-wire.ts'
import type { ModernUpstream, Reply } from './upstream.ts'

const CONTENT = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' }

export function modernHttp(wire: Wire): ModernUpstream {
  const { name, recordAct, monotonic } = wire.options
  const versions = new ServerVersions({ server: name, ask: () => discover(wire), recordAct, monotonic })
  return {
    versions,
    forward: (permit, reply) => versions.forward(permit, reply, () => send(wire, versions, { permit, reply })),
  }
}

interface Sending {
  readonly permit: Permit<McpCall>
  readonly reply: Reply
}

function send(wire: Wire, versions: ServerVersions, { permit, reply }: Sending): void {
  const { classified } = permit.use().authorized
  const { body, call } = classified
  const { scope, restored } = call.detail
  const { limits, traffic, onFailure } = wire.options
  if (!wire.enter()) return reply.fail('upstream_busy', 'too many requests are under way at this server', 1)
  const own: Sender = { principal: classified.identified.principal, onUse: (use) => reply.used(use) }
  const given: Given = { fields: null }
  const request = {
    method: 'POST',
    path: wire.path,
    headers: requestHeaders(call.detail),
    body: restored?.body ?? body,
  } as const
  const answer = new HttpAnswer({
    call: call.detail,
    reply,
    scope,
    limits,
    traffic,
    onFailure,
    onNamed: () => undefined,
    onGone: () => undefined,
    onContradicted: () => versions.doubt(),
    refuseToServer: () => undefined,
    again: REPEATABLE.has(call.action.group) ? () => wire.dispatch(request, answer, own) : null,
    renew: wire.renews ? () => wire.dispatch(request, answer, own, given) : null,
    widen: (scopes) => wire.widen(scopes, own, given),
    onEnd: () => wire.leave(),
  })
  wire.dispatch(request, answer, own, given)
}

const MIRRORED = ['mcp-protocol-version', 'mcp-method', 'mcp-name'] as const
const PARAMETERS = 'mcp-param-'

/** Of the caller's headers only what repeats the body, which has been judged; what no method mirrors stays here. */
function requestHeaders({ head, trace, restored }: McpCall): Record<string, string> {
  const headers: Record<string, string> = { ...ownHeaders(trace), ...CONTENT }
  for (const name of MIRRORED) {
    const value = head.headers[name]
    if (value !== undefined) headers[name] = value
  }
  for (const name in head.headers) {
    const value = head.headers[name]
    if (value !== undefined && name.startsWith(PARAMETERS)) headers[name] = value
  }
  if (restored !== null && restored.name !== null) headers['mcp-name'] = encodeMirrored(restored.name)
  return headers
}

const ANSWER_BYTES = 256 * 1024

/** Asks the server for its versions. Rejects where there is no complete answer within the time for the head of one. */
function discover(wire: Wire): Promise<DiscoveryAnswer> {
  return new Promise((resolve, reject) => {
    if (!wire.enter()) return reject(new Error('too many requests are under way at this server'))
    const headers = { ...ownHeaders(null), ...CONTENT, ...DISCOVER_HEADERS }
    const answer = new Discovery((outcome) => {
      wire.leave()
      if (outcome instanceof Error) reject(outcome)
      else resolve(outcome)
    }, wire.options.limits.responseMilliseconds)
    const own = { principal: null, onUse: ownUse(wire.options, null) }
    wire.dispatch({ method: 'POST', path: wire.path, headers, body: DISCOVER_REQUEST }, answer, own)
  })
}

class Discovery implements CredentialedAnswer {
  readonly #body = new GrowingBytes()
  readonly #timer: NodeJS.Timeout
  #settle: ((outcome: DiscoveryAnswer | Error) => void) | null
  #controller: Dispatcher.DispatchController | null = null
  #status = 0
  #events: SseParser | null = null

  constructor(settle: (outcome: DiscoveryAnswer | Error) => void, milliseconds: number) {
    this.#settle = settle
    this.#timer = setTimeout(() => this.#end(new Error('no complete answer in time')), milliseconds).unref()
  }

  get over(): boolean {
    return this.#settle === null
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    if (this.#settle === null) controller.abort(new Error('nobody waits'))
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    if (status < 200) return
    this.#status = status
    if (String(headers['content-type'] ?? '').startsWith('text/event-stream'))
      this.#events = new SseParser(ANSWER_BYTES)
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#events === null) {
      if (this.#body.length + chunk.length > ANSWER_BYTES) this.#end(new Error('the answer is too large'))
      else this.#body.append(chunk)
      return
    }
    const events = this.#events.push(chunk)
    if (events === null) return this.#end(new Error('the answer is too large'))
    const message = events.find(({ data }) => data !== null && data.length > 0)?.data ?? null
    if (message !== null) this.#end({ status: this.#status, message })
  }

  onResponseEnd(): void {
    this.#end({ status: this.#status, message: this.#events === null ? this.#body.view() : null })
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.#end(error)
  }

  #end(outcome: DiscoveryAnswer | Error): void {
    const settle = this.#settle
    if (settle === null) return
    this.#settle = null
    clearTimeout(this.#timer)
    settle(outcome)
    this.#controller?.abort(new Error('answered'))
  }
}
