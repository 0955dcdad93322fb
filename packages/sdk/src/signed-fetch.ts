/** Calls as our workload: certificate on the connection, token on the request, the server's identity known before the first byte. */

import type { OutgoingHttpHeaders } from 'node:http'
import { DoorwardError } from '@doorward/core'
import type { SpiffeId } from '@doorward/core'
import type { ConnectionPool } from './connection-pool.ts'
import type { CredentialSource } from './credential-source.ts'
import { exchange } from './https-exchange.ts'
import type { CallResponse, RequestBody } from './https-exchange.ts'
import type { Svid } from './svid.ts'
import type { TokenSource } from './token-source.ts'

export interface CallOptions {
  readonly method?: string
  readonly headers?: OutgoingHttpHeaders
  readonly body?: RequestBody
  /** Resource that the token must name (RFC 8707). Null sends no token: the token endpoint alone. */
  readonly audience: string | null
  /** Who must answer. */
  readonly expectedId: SpiffeId
  readonly signal?: AbortSignal
}

export interface SignedFetch {
  /**
   * Resolves with the response head, whatever its status. A 401 whose `Doorward-Code` says that the token has lapsed is
   * tried once more with a new token when the body can be sent again. Throws the codes of `connectMutualTls`,
   * `connectionError` and `TokenSource.token`, and `url_invalid`.
   */
  call(url: string | URL, options: CallOptions): Promise<CallResponse>
}

export interface SignedFetchDependencies {
  readonly pool: ConnectionPool
  readonly credentials: CredentialSource
  readonly tokens: TokenSource
  /** Runs before each call: picks up what another process renewed. */
  readonly freshen: () => Promise<void>
}

/** Refusals that a new token for the same SVID cures. */
const LAPSED = new Set(['token_expired', 'token_epoch', 'token_key_unknown'])
const SAFE = new Set(['GET', 'HEAD', 'OPTIONS'])

export function signedFetch(dependencies: SignedFetchDependencies): SignedFetch {
  return { call: async (url, options) => call(dependencies, targetUrl(url), options) }
}

async function call(dependencies: SignedFetchDependencies, url: URL, options: CallOptions): Promise<CallResponse> {
  await dependencies.freshen()
  const svid = dependencies.credentials.current()
  const response = await attempt(dependencies, url, options, svid)
  const code = response.headers['doorward-code']
  const again =
    response.status === 401 &&
    options.audience !== null &&
    typeof code === 'string' &&
    LAPSED.has(code) &&
    isRepeatable(options.body)
  if (!again || options.audience === null) return response
  response.body.resume()
  dependencies.tokens.forget({ svid, audience: options.audience })
  return attempt(dependencies, url, options, svid)
}

async function attempt(
  dependencies: SignedFetchDependencies,
  url: URL,
  options: CallOptions,
  svid: Svid,
): Promise<CallResponse> {
  const headers: OutgoingHttpHeaders = { ...options.headers }
  if (options.audience !== null) {
    const token = await dependencies.tokens.token({ svid, audience: options.audience })
    headers['authorization'] = `Bearer ${token.reveal()}`
  }
  const send = () => sendOnce(dependencies, url, { ...options, headers }, svid)
  try {
    return await send()
  } catch (error) {
    // The server may close a kept connection in the very moment in which we reuse it. Only what may arrive twice is sent again.
    const lost = error instanceof DoorwardError && error.code === 'connection_lost'
    if (lost && SAFE.has(options.method ?? 'GET') && isRepeatable(options.body) && options.signal?.aborted !== true)
      return send()
    throw error
  }
}

function sendOnce(
  { pool }: SignedFetchDependencies,
  url: URL,
  options: CallOptions,
  svid: Svid,
): Promise<CallResponse> {
  const target = { host: hostOf(url), port: Number(url.port || '443'), expected: options.expectedId }
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
