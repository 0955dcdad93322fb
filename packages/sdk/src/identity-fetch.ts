/** `fetch` as WHATWG has it, as our workload: certificate, token, and an answer from nobody but the one who was expected. */

import { Readable } from 'node:stream'
import { DoorwardError, parseSpiffeId } from '@doorward/core'
import type { SpiffeId } from '@doorward/core'
import type { CallResponse, RequestBody } from './https-exchange.ts'
import type { SignedFetch } from './signed-fetch.ts'
import type { TokenOptions } from './token-source.ts'

/** Who answers at one origin. */
export interface Peer {
  /** SPIFFE ID. */
  readonly id: string
  /** For whom tokens are; the origin itself by default. */
  readonly audience?: string
}

/** By origin: `https://orders.acme.example:9443`. */
export type Peers = Readonly<Record<string, Peer>>

export interface IdentityFetchInit extends RequestInit {
  /** For whom the token is; by default that of the peer, or else the origin of the URL. */
  readonly audience?: string
  /** SPIFFE ID of who must answer; by default that of the peer. */
  readonly expect?: string
  /** On whose behalf, who may act further, and how narrow; by default for itself, and as policy allows. */
  readonly token?: TokenOptions
}

export type IdentityFetch = (input: string | URL | Request, init?: IdentityFetchInit) => Promise<Response>

export interface IdentityFetchParts {
  readonly signed: SignedFetch
  readonly peers: Peers
  /** Of the authority, which everybody knows who has joined. */
  readonly authority: { readonly url: string; readonly id: SpiffeId }
}

/** The call itself sets these. */
const RESERVED = [
  'authorization',
  'host',
  'connection',
  'content-length',
  'transfer-encoding',
  'te',
  'trailer',
  'upgrade',
  'expect',
]
const WITHOUT_BODY = new Set([204, 205, 304])

/**
 * Differs from `fetch` where that would be unsafe: only https; redirects are answers, never followed, because another origin
 * is another peer; nothing is cached, decompressed or sent with cookies. Who answers is known before the first byte
 * is sent: an origin that neither `expect` nor `peers` names is not called (`peer_unknown`). Bodies that are not
 * streams may be sent again after a refusal that came before anything happened. Throws the codes of `SignedFetch.call`,
 * `peer_unknown`, `header_reserved`, and the reason of the signal.
 */
export function identityFetch(parts: IdentityFetchParts): IdentityFetch {
  return async (input, init = {}) => {
    const { audience, expect, token, ...plain } = init
    const request = new Request(input, withDuplex(plain))
    const url = new URL(request.url)
    const peer = peerOf(parts, url, { audience, expect })
    for (const name of RESERVED)
      if (request.headers.has(name))
        throw new DoorwardError('header_reserved', 'the call sets this header itself', { where: name })
    const { signal } = request
    signal.throwIfAborted()
    const body = await bodyOf(request, input, plain)
    try {
      const response = await parts.signed.call(url, {
        method: request.method,
        headers: Object.fromEntries(request.headers),
        ...(body === null ? {} : { body }),
        audience: peer.audience,
        ...(token === undefined ? {} : { token }),
        expectedId: peer.id,
        signal,
      })
      return responseOf(response, url, request.method)
    } catch (error) {
      signal.throwIfAborted()
      throw error
    }
  }
}

function peerOf(
  { peers, authority }: IdentityFetchParts,
  { origin }: URL,
  { audience, expect }: { readonly audience: string | undefined; readonly expect: string | undefined },
): { readonly id: SpiffeId; readonly audience: string } {
  const known = Object.hasOwn(peers, origin) ? peers[origin] : undefined
  const isAuthority = origin === new URL(authority.url).origin
  const id = expect ?? known?.id ?? (isAuthority ? authority.id.uri : undefined)
  if (id === undefined)
    throw new DoorwardError('peer_unknown', 'nobody has said who answers there', {
      where: origin,
      expected: 'expect: a SPIFFE ID, or the origin among peers',
    })
  return { id: parseSpiffeId(id), audience: audience ?? known?.audience ?? (isAuthority ? authority.url : origin) }
}

/** A stream as a body is sent while the answer comes; `fetch` wants to be told so. */
function withDuplex(init: RequestInit): RequestInit {
  return isStream(init.body) ? { ...init, duplex: 'half' } : init
}

function isStream(body: unknown): boolean {
  return body instanceof ReadableStream || (typeof body === 'object' && body !== null && Symbol.asyncIterator in body)
}

async function bodyOf(request: Request, input: unknown, init: RequestInit): Promise<RequestBody | null> {
  if (request.body === null) return null
  const streams = isStream(init.body) || (input instanceof Request && init.body === undefined)
  return streams ? Readable.fromWeb(request.body) : new Uint8Array(await request.arrayBuffer())
}

function responseOf({ status, rawHeaders, body }: CallResponse, url: URL, method: string): Response {
  const headers = new Headers()
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) headers.append(rawHeaders[i] ?? '', rawHeaders[i + 1] ?? '')
  const empty = WITHOUT_BODY.has(status) || method === 'HEAD'
  if (empty) body.resume()
  const stream = empty ? null : (Readable.toWeb(body) as ReadableStream<Uint8Array>)
  const response = new Response(stream, { status, headers })
  Object.defineProperty(response, 'url', { value: url.href })
  return response
}
