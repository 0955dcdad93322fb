/** The request as a handler gets it: judged, its body whole, without the credentials that came with it. */

import { IncomingMessage } from 'node:http'
import type { Exchange } from '@doorward/enforcement'

/**
 * Names that say who calls elsewhere: here the principal says it. And those by which frameworks take a request for another one
 * than was judged.
 */
const WITHHELD =
  /^(?:authorization|proxy-authorization|cookie|x-http-method.*|x-method-override|x-original-.*|x-rewrite-.*)$/

/**
 * The body has been read within its limits, so that it can be read again from here alone. Everything else is as it came. What
 * a handler sees of forwarding headers was written by the caller.
 */
export function deliveredRequest({ request }: Exchange, body: Uint8Array): IncomingMessage {
  const delivered = new IncomingMessage(request.socket)
  delivered.httpVersion = request.httpVersion
  delivered.httpVersionMajor = request.httpVersionMajor
  delivered.httpVersionMinor = request.httpVersionMinor
  delivered.method = request.method ?? ''
  delivered.url = request.url ?? ''
  const raw = request.rawHeaders
  const kept = raw.filter((_, i) => !WITHHELD.test((raw[i - (i % 2)] ?? '').toLowerCase()))
  delivered.rawHeaders = kept
  delivered.headers = Object.fromEntries(Object.entries(request.headers).filter(([name]) => !WITHHELD.test(name)))
  delivered.complete = true
  if (body.length > 0) delivered.push(body)
  delivered.push(null)
  return delivered
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
