/** The request as a handler gets it: judged, its body whole, without the credentials that came with it. */

import { IncomingMessage } from 'node:http'
import type { IncomingHttpHeaders } from 'node:http'
import type { Exchange } from '@doorward/enforcement'

/**
 * Names that say who calls elsewhere: here the principal says it. And those by which frameworks take a request for another one
 * than was judged.
 */
const WITHHELD =
  /^(?:authorization|proxy-authorization|cookie|x-http-method.*|x-method-override|x-original-.*|x-rewrite-.*)$/

/** A message whose protocol is known here. */
export interface DeliveredMessage {
  readonly body: Uint8Array
  /** In the place of those that came under these names. */
  readonly headers: Readonly<Record<string, string>>
  /** Names, in lower case, of those that came and are not delivered; nothing more by default. */
  readonly withheld?: readonly string[]
  /** Of those that came nothing else is delivered, but `Host`. */
  readonly alone: boolean
}

/**
 * The body has been read within its limits, so that it can be read again from here alone. Everything else is as it came, but for
 * what is said of a message. What a handler sees of forwarding headers was written by the caller.
 */
export function deliveredRequest(
  { request }: Exchange,
  came: Uint8Array,
  message: DeliveredMessage | null = null,
): IncomingMessage {
  const { body } = message ?? { body: came }
  const own = message === null ? {} : ownHeaders(message)
  const passes = passing(own, message)
  const delivered = new IncomingMessage(request.socket)
  delivered.httpVersion = request.httpVersion
  delivered.httpVersionMajor = request.httpVersionMajor
  delivered.httpVersionMinor = request.httpVersionMinor
  delivered.method = request.method ?? ''
  delivered.url = request.url ?? ''
  delivered.rawHeaders = keptLines(request.rawHeaders, passes)
  delivered.headers = keptHeaders(request.headers, passes)
  for (const [name, value] of Object.entries<string>(own)) {
    delivered.rawHeaders.push(name, value)
    delivered.headers[name] = value
  }
  delivered.complete = true
  if (body.length > 0) delivered.push(body)
  delivered.push(null)
  return delivered
}

function ownHeaders({ headers, body }: DeliveredMessage): Record<string, string> {
  return body.length === 0 ? { ...headers } : { ...headers, 'content-length': String(body.length) }
}

/** A message is as long as it is delivered, and comes in one piece. */
function passing(own: object, message: DeliveredMessage | null): Passes {
  if (message === null) return (name) => !WITHHELD.test(name)
  if (message.alone) return (name) => name === 'host'
  const withheld = new Set(['transfer-encoding', 'content-length', ...Object.keys(own), ...(message.withheld ?? [])])
  return (name) => !WITHHELD.test(name) && !withheld.has(name)
}

/** Asked with names in lower case. */
type Passes = (name: string) => boolean

// Plain loops: every call comes by here.
function keptLines(raw: readonly string[], passes: Passes): string[] {
  const kept: string[] = []
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i]!
    if (passes(name.toLowerCase())) kept.push(name, raw[i + 1]!)
  }
  return kept
}

function keptHeaders(headers: IncomingHttpHeaders, passes: Passes): IncomingHttpHeaders {
  const kept: IncomingHttpHeaders = {}
  for (const name of Object.keys(headers)) if (passes(name)) kept[name] = headers[name]
  return kept
}

/** Where the official MCP SDK looks for who calls, and passes it on to tools. It has no token: whoever needs it has `callOf`. */
export interface ToldIdentity {
  readonly token: ''
  readonly clientId: string
  readonly scopes: string[]
  readonly expiresAt: number
}

export function tellIdentity(delivered: IncomingMessage, identity: ToldIdentity): ToldIdentity {
  Reflect.set(delivered, 'auth', identity)
  return identity
}
