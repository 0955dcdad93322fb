/** What anybody may read: trust bundle, revocation lists, liveness, readiness. Nothing of who is registered. */

import { crlPem } from '@doorward/core'
import { deny, limitArrival, send, sendRefusal } from '@doorward/enforcement'
import type { Denial, Exchange, Inbound, Pipeline } from '@doorward/enforcement'

export interface PublicBundle {
  /** Changes with its content. */
  readonly sequence: bigint
  /** JSON of the SPIFFE bundle. */
  readonly text: string
}

/** A revocation list in force. */
export interface PublicCrl {
  /** Lowercase hex, of the anchor that signed it. */
  readonly keyId: string
  readonly number: number
  /** Seconds since 1970. */
  readonly thisUpdate: number
  readonly nextUpdate: number
  readonly der: Uint8Array
}

export interface PublicOptions {
  readonly pipeline: Pipeline
  /** True when calls can be served now. */
  readonly ready: () => boolean
  /** Null where none is served. */
  readonly bundle: (() => PublicBundle) | null
  /** Null where none are served. */
  readonly crls: (() => readonly PublicCrl[]) | null
  /** JWK Set of what a gateway tells services of their callers; served where there is one. */
  readonly principalKeys?: (() => string) | null
}

interface PublicAnswer {
  readonly status: number
  readonly type?: string
  readonly body?: string | Uint8Array
  /** Names this content; whoever has it already gets none. */
  readonly tag?: string
}

const LISTS = '/v1/crl'
const LIST = /^\/v1\/crl\/([0-9a-f]{16,64})\.(crl|pem)$/

/**
 * Answers one request: `/livez`, `/readyz`, `/v1/trust-bundle` (SPIFFE Trust Domain and Bundle §4), `/v1/crl` (JSON, what
 * there is), `/v1/crl/<key id>.crl` (RFC 5280 §5, RFC 2585 §4.2) and `.pem`, `/v1/principal-keys` (RFC 7517 §5). Never rejects. Nothing here needs a
 * credential, so only refusals leave a trace.
 */
export async function servePublic(exchange: Exchange, options: PublicOptions): Promise<void> {
  const inbound: Inbound = { connection: exchange.connection, head: exchange.head, audience: '' }
  const { limiter, connectionLimits } = options.pipeline.dependencies
  const refused = (await limitArrival(inbound, limiter, connectionLimits)) ?? exchange.problem
  const answer = refused ?? publicAnswer(exchange, options)
  if ('denied' in answer) {
    sendRefusal(exchange, await options.pipeline.refuse(inbound, answer))
    return
  }
  sendPublic(exchange, answer)
}

/** Caches ask each time: a key that was taken out must not live on in one of them. */
function sendPublic(exchange: Exchange, { status, type, body = '', tag }: PublicAnswer): void {
  const headers: Readonly<Record<string, string>> = {
    'Cache-Control': tag === undefined ? 'no-store' : 'no-cache',
    ...(tag === undefined ? {} : { ETag: tag }),
  }
  if (tag === undefined || !hasAlready(exchange, tag))
    return send(exchange, status, { ...headers, ...(type === undefined ? {} : { 'Content-Type': type }) }, body)
  const { response } = exchange
  if (!response.headersSent && !response.destroyed) response.writeHead(304, headers).end()
}

/** RFC 9110 §13.1.2. */
function hasAlready({ head }: Exchange, tag: string): boolean {
  const given = (head.headers['if-none-match'] ?? '').split(',').map((one) => one.trim().replace(/^W\//, ''))
  return given.includes(tag) || given.includes('*')
}

function publicAnswer({ head }: Exchange, options: PublicOptions): PublicAnswer | Denial {
  const answer = contentAt(head.path, options)
  if (answer === null) return deny('path_unknown', 'nothing is at this path')
  return head.method === 'GET' ? answer() : deny('http_method', `expected GET, got ${head.method}`)
}

/** What is at a path, made when it is asked for; null for nothing. */
function contentAt(
  path: string,
  { ready, bundle, crls, principalKeys = null }: PublicOptions,
): (() => PublicAnswer) | null {
  if (path === '/v1/principal-keys' && principalKeys !== null)
    return () => ({ status: 200, type: 'application/jwk-set+json', body: principalKeys() })
  if (path === '/livez') return () => ({ status: 200 })
  if (path === '/readyz') return () => ({ status: ready() ? 200 : 503 })
  if (path === '/v1/trust-bundle' && bundle !== null) return () => bundleAnswer(bundle())
  if (crls === null) return null
  if (path === LISTS) return () => listsAnswer(crls())
  const [, keyId, form] = LIST.exec(path) ?? []
  const list = keyId === undefined ? undefined : crls().find((one) => one.keyId === keyId)
  return list === undefined ? null : () => listAnswer(list, form === 'pem')
}

function bundleAnswer({ sequence, text }: PublicBundle): PublicAnswer {
  return { status: 200, type: 'application/json', body: text, tag: `"${sequence}"` }
}

function listsAnswer(lists: readonly PublicCrl[]): PublicAnswer {
  const crls = lists.map(({ keyId, number, thisUpdate, nextUpdate }) => ({
    key_id: keyId,
    number,
    this_update: thisUpdate,
    next_update: nextUpdate,
    der: `${LISTS}/${keyId}.crl`,
    pem: `${LISTS}/${keyId}.pem`,
  }))
  const tag = `"${crls.map(({ key_id, number }) => `${key_id}.${number}`).join(' ')}"`
  return { status: 200, type: 'application/json', body: JSON.stringify({ crls }), tag }
}

function listAnswer({ keyId, number, der }: PublicCrl, pem: boolean): PublicAnswer {
  const tag = `"${keyId}.${number}"`
  return pem
    ? { status: 200, type: 'application/x-pem-file', body: crlPem(der), tag }
    : { status: 200, type: 'application/pkix-crl', body: der, tag }
}
