/** Calls as our workload: certificate on the connection, token on the request, the server's identity known before the first byte. */

import type { OutgoingHttpHeaders } from 'node:http'
import { DoorwardError } from '@doorward/core'
import type { SpiffeId } from '@doorward/core'
import { connectionError } from './connection-error.ts'
import type { ConnectionPool } from './connection-pool.ts'
import type { CredentialSource } from './credential-source.ts'
import { exchange } from './https-exchange.ts'
import type { CallResponse, RequestBody } from './https-exchange.ts'
import type { Svid } from './svid.ts'
import type { TokenOptions, TokenSource } from './token-source.ts'

export interface CallOptions {
  readonly method?: string
  readonly headers?: OutgoingHttpHeaders
  readonly body?: RequestBody
  /** Resource that the token must name (RFC 8707). Null sends no token: the token endpoint alone. */
  readonly audience: string | null
  /** On whose behalf, and how narrow; by default as the identity calls. */
  readonly token?: TokenOptions
  /** Who must answer. */
  readonly expectedId: SpiffeId
  /** Where to connect instead of to the URL's host; the request itself names the URL's. */
  readonly at?: { readonly host: string; readonly port: number }
  /** False repeats nothing, whatever the reason; true by default. */
  readonly retries?: boolean
  readonly signal?: AbortSignal
}

export interface SignedFetch {
  /**
   * Resolves with the response head, whatever its status. A 401 whose `Doorward-Code` says that our token has lapsed, that
   * our certificate is news to the server, or that it has meanwhile been replaced, was given before anything happened: it is
   * tried once more when the body can be sent again. Throws the codes of `connectMutualTls`, `connectionError` and
   * `TokenSource.token`, and `url_invalid`.
   */
  call(url: string | URL, options: CallOptions): Promise<CallResponse>
}

export interface SignedFetchDependencies {
  readonly pool: ConnectionPool
  readonly credentials: CredentialSource
  readonly tokens: Pick<TokenSource, 'token' | 'forget'>
  /** Runs before each call: picks up what another process renewed. */
  readonly freshen: () => Promise<void>
}

/** Refusals that a new token for the same SVID cures. */
const LAPSED = new Set(['token_expired', 'token_epoch', 'token_key_unknown'])
/** Refusals that a moment cures: the server has waited for its next trust state, and it may be about to come. */
const NEWS = new Set(['certificate_not_issued'])
/** Refusals that a newer SVID cures, when there is one by now. */
const REPLACED = new Set(['certificate_denied', 'certificate_epoch', 'certificate_expired', 'certificate_untrusted'])
const SAFE = new Set(['GET', 'HEAD', 'OPTIONS'])

export function signedFetch(dependencies: SignedFetchDependencies): SignedFetch {
  return { call: async (url, options) => call(dependencies, targetUrl(url), options) }
}

async function call(dependencies: SignedFetchDependencies, url: URL, options: CallOptions): Promise<CallResponse> {
  await dependencies.freshen()
  const { credentials } = dependencies
  const svid = credentials.current()
  const response = await attempt(dependencies, url, options, svid)
  const again = mayRepeat(options) ? cure(dependencies, response, { svid, audience: options.audience }) : null
  if (again === null) return response
  response.body.resume()
  return attempt(dependencies, url, options, again)
}

/** The SVID with which to try again what was refused before it had any effect; null when nothing has changed for the better. */
function cure(
  { credentials, tokens }: SignedFetchDependencies,
  { status, headers }: CallResponse,
  { svid, audience }: { readonly svid: Svid; readonly audience: string | null },
): Svid | null {
  const code = headers['doorward-code']
  if (status !== 401 || typeof code !== 'string') return null
  if (NEWS.has(code)) return svid
  if (LAPSED.has(code) && audience !== null) {
    tokens.forget({ svid, audience })
    return svid
  }
  const current = credentials.current()
  return REPLACED.has(code) && current.fingerprint !== svid.fingerprint ? current : null
}

function mayRepeat({ retries, body, signal }: CallOptions): boolean {
  return retries !== false && isRepeatable(body) && signal?.aborted !== true
}

async function attempt(
  dependencies: SignedFetchDependencies,
  url: URL,
  options: CallOptions,
  svid: Svid,
): Promise<CallResponse> {
  const headers: OutgoingHttpHeaders = { ...options.headers }
  if (options.audience !== null) {
    const wanted = dependencies.tokens.token({ ...options.token, svid, audience: options.audience })
    const token = await unlessAborted(wanted, options.signal, url.host)
    headers['authorization'] = `Bearer ${token.reveal()}`
  }
  const send = () => sendOnce(dependencies, url, { ...options, headers }, svid)
  try {
    return await send()
  } catch (error) {
    // The server may close a kept connection in the very moment in which we reuse it. Only what may arrive twice is sent again.
    const lost = error instanceof DoorwardError && error.code === 'connection_lost'
    if (lost && SAFE.has(options.method ?? 'GET') && mayRepeat(options)) return send()
    throw error
  }
}

/** What others may wait for too goes on; whoever is aborted waits no longer. Throws `call_aborted` or `connection_timeout`. */
async function unlessAborted<T>(wanted: Promise<T>, signal: AbortSignal | undefined, where: string): Promise<T> {
  if (signal === undefined) return wanted
  const { promise, reject } = Promise.withResolvers<never>()
  const aborted = () => {
    const { reason: cause } = signal as { readonly reason: unknown }
    reject(connectionError(new DOMException('aborted while waiting for a token', { name: 'AbortError', cause }), where))
  }
  signal.addEventListener('abort', aborted)
  try {
    if (signal.aborted) aborted()
    return await Promise.race([wanted, promise])
  } finally {
    signal.removeEventListener('abort', aborted)
  }
}

function sendOnce(
  { pool }: SignedFetchDependencies,
  url: URL,
  options: CallOptions,
  svid: Svid,
): Promise<CallResponse> {
  const { host, port } = options.at ?? { host: hostOf(url), port: Number(url.port || '443') }
  const target = { host, port, expected: options.expectedId }
  return exchange(pool.agent(target, svid), url, {
    method: options.method ?? 'GET',
    headers: options.headers ?? {},
    ...(options.body === undefined ? {} : { body: options.body }),
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  })
}

function isRepeatable(body: RequestBody | undefined): boolean {
  return body === undefined || typeof body === 'string' || typeof body === 'function' || body instanceof Uint8Array
}

function hostOf({ hostname }: URL): string {
  return hostname.startsWith('[') ? hostname.slice(1, -1) : hostname
}

function targetUrl(url: string | URL): URL {
  const parsed = URL.canParse(String(url)) ? new URL(url) : null
  if (parsed?.protocol === 'https:' && parsed.username === '' && parsed.password === '') return parsed
  throw new DoorwardError('url_invalid', 'only https URLs without credentials are called', {
    got: String(url).slice(0, 200),
  })
}
