/**
 * What hosts reach that cannot hold a certificate: the metadata of each server as an OAuth protected resource (RFC 9728),
 * and the servers themselves by the code that serves everybody else. Every URL is from configuration, never from `Host`.
 */

import { deny, limitArrival, scopeOf, send, sendRefusal } from '@doorward/enforcement'
import type { Denial, Exchange, Inbound, Pipeline } from '@doorward/enforcement'
import { edgeChallenges } from './edge-challenge.ts'
import type { EdgeChallenge } from './edge-challenge.ts'
import { serverNameOf } from './streamable-http.ts'
import type { Entrance, StreamableHttp } from './streamable-http.ts'

export interface EdgeOptions {
  readonly pipeline: Pipeline
  readonly endpoint: StreamableHttp
  /** Origin by which callers reach the edge, without trailing slash. */
  readonly publicUrl: string
  /** Names of the servers that are served here. */
  readonly servers: ReadonlySet<string>
  /** Issuers whose tokens are accepted. */
  readonly issuers: readonly string[]
  /** Tokens that are bound to no key are accepted. */
  readonly bearer: boolean
  readonly algorithms: readonly string[]
  /** Scopes that clients are told to ask for beside those of a server. */
  readonly requestScopes: readonly string[]
  readonly scopesRequired: boolean
  /** Pages that may call from a browser; none by default. */
  readonly origins: ReadonlySet<string>
  /** The nonce for the next proof; null where none is demanded. */
  readonly nonce: (() => string) | null
}

const WELL_KNOWN = '/.well-known/oauth-protected-resource'
const METHODS = 'POST, GET, DELETE, OPTIONS'
const ASKED = [
  'Authorization',
  'Content-Type',
  'Accept',
  'DPoP',
  'Last-Event-ID',
  'Mcp-Method',
  'Mcp-Name',
  'MCP-Protocol-Version',
  'Mcp-Session-Id',
]
/** Their names are what tools of servers call their parameters: whatever a page asks for of these. */
const PARAMETER = /^mcp-param-[a-z0-9-]{1,120}$/i
const MAX_ASKED = 64
const SHOWN = [
  'DPoP-Nonce',
  'Doorward-Code',
  'Doorward-Decision',
  'MCP-Protocol-Version',
  'Mcp-Session-Id',
  'Retry-After',
  'WWW-Authenticate',
].join(', ')
const PREFLIGHT_SECONDS = '600'
const METADATA_SECONDS = 60
/** Parameters that carry a token in a URL, where logs of others would keep it (RFC 6750 §2.3, RFC 9700 §4.3.2). */
const TOKEN_PARAMETERS = ['access_token', 'token', 'id_token', 'refresh_token']

/** Resource identifier of a server at the edge, hence the audience of tokens for it (RFC 8707). */
export function resourceAtEdge({ publicUrl }: Pick<EdgeOptions, 'publicUrl'>, name: string): string {
  return `${publicUrl}/mcp/${name}`
}

function allowed(asked = ''): readonly string[] {
  const names = asked.split(',', MAX_ASKED).map((name) => name.trim())
  return [...ASKED, ...names.filter((name) => PARAMETER.test(name))]
}

export class Edge {
  readonly #options: EdgeOptions
  readonly #entrance: Entrance

  constructor(options: EdgeOptions) {
    this.#options = options
    const { servers } = options
    this.#entrance = {
      credential: 'edge',
      audienceOf: (name) => (servers.has(name) ? this.#resourceOf(name) : null),
      challenge: (name, exchange) => (denial, status) => edgeChallenges(denial, status, this.#asked(name, exchange)),
    }
  }

  /** Answers one request; never rejects for what the caller does. */
  async serve(exchange: Exchange): Promise<void> {
    const { head, problem } = exchange
    this.#letBrowserRead(exchange)
    if (problem !== null) return this.#refuse(exchange, problem)
    if (holdsToken(head.query)) return this.#refuse(exchange, deny('token_misplaced', 'a token in the query'))
    if (head.method === 'OPTIONS') return this.#preflight(exchange)
    if (head.path === WELL_KNOWN || head.path.startsWith(`${WELL_KNOWN}/`)) return this.#metadata(exchange)
    const { nonce } = this.#options
    if (nonce !== null) exchange.response.setHeader('DPoP-Nonce', nonce())
    return this.#options.endpoint.serve(exchange, this.#entrance)
  }

  #resourceOf(name: string): string {
    return resourceAtEdge(this.#options, name)
  }

  /** A page of an accepted origin may read answers; it sends no credentials of the browser. Other origins were refused. */
  #letBrowserRead({ head, response }: Exchange): void {
    const origin = head.headers['origin']
    const { origins } = this.#options
    if (origins.size === 0) return
    response.setHeader('Vary', 'Origin')
    if (origin === undefined || !origins.has(origin)) return
    response.setHeader('Access-Control-Allow-Origin', origin)
    response.setHeader('Access-Control-Expose-Headers', SHOWN)
  }

  async #preflight(exchange: Exchange): Promise<void> {
    const { headers, path } = exchange.head
    const asks = headers['origin'] !== undefined && headers['access-control-request-method'] !== undefined
    if (!asks) return this.#refuse(exchange, deny('http_method', 'OPTIONS without Origin and what it asks for'))
    const known = path.startsWith(WELL_KNOWN) || this.#options.servers.has(serverNameOf(path) ?? '')
    if (!known) return this.#refuse(exchange, deny('path_unknown', 'nothing is at this path'))
    const over = await this.#arrivalProblem(exchange)
    if (over !== null) return this.#refuseNow(exchange, over)
    send(exchange, 204, {
      'Access-Control-Allow-Methods': METHODS,
      'Access-Control-Allow-Headers': allowed(headers['access-control-request-headers']).join(', '),
      'Access-Control-Max-Age': PREFLIGHT_SECONDS,
    })
  }

  /** Public, as it says nothing that a refusal does not say; servers that are not served here do not exist. */
  async #metadata(exchange: Exchange): Promise<void> {
    const { method, path } = exchange.head
    const name = this.#described(path)
    if (name === null) return this.#refuse(exchange, deny('path_unknown', 'nothing is at this path'))
    if (method !== 'GET') return this.#refuse(exchange, deny('http_method', `expected GET, got ${method}`))
    const over = await this.#arrivalProblem(exchange)
    if (over !== null) return this.#refuseNow(exchange, over)
    const headers = { 'Content-Type': 'application/json', 'Cache-Control': `public, max-age=${METADATA_SECONDS}` }
    send(exchange, 200, headers, JSON.stringify(this.#document(name)))
  }

  /** The path of a server after the well-known one (RFC 9728 §3.1); the bare one where there is one server alone. */
  #described(path: string): string | null {
    const { servers } = this.#options
    if (path === WELL_KNOWN) return servers.size === 1 ? ([...servers][0] ?? null) : null
    const name = serverNameOf(path.slice(WELL_KNOWN.length))
    return name !== null && servers.has(name) ? name : null
  }

  #document(name: string): object {
    const { issuers, bearer, algorithms } = this.#options
    const scopes = this.#scopes(name)
    return {
      resource: this.#resourceOf(name),
      resource_name: name,
      authorization_servers: issuers,
      ...(scopes.length === 0 ? {} : { scopes_supported: scopes }),
      bearer_methods_supported: ['header'],
      dpop_signing_alg_values_supported: algorithms,
      dpop_bound_access_tokens_required: !bearer,
    }
  }

  /** The least that is good for anything; more is asked for when it is needed. */
  #scopes(name: string): readonly string[] {
    const { requestScopes, scopesRequired } = this.#options
    return scopesRequired ? [...requestScopes, scopeOf(name, 'read')] : requestScopes
  }

  #asked(name: string, { head }: Exchange): EdgeChallenge {
    const { publicUrl, algorithms } = this.#options
    const shown = /^(bearer|dpop) /i.exec(head.headers['authorization'] ?? '')?.[1]?.toLowerCase()
    return {
      metadata: `${publicUrl}${WELL_KNOWN}/mcp/${name}`,
      scopes: this.#scopes(name),
      algorithms,
      shown: shown === 'bearer' || shown === 'dpop' ? shown : 'nothing',
    }
  }

  #arrivalProblem(exchange: Exchange): Promise<Denial | null> {
    const { limiter, connectionLimits } = this.#options.pipeline.dependencies
    return limitArrival(inboundOf(exchange), limiter, connectionLimits)
  }

  async #refuse(exchange: Exchange, denial: Denial): Promise<void> {
    const refusal = await this.#options.pipeline.refuseHead(inboundOf(exchange), denial)
    sendRefusal(exchange, refusal, { rpc: serverNameOf(exchange.head.path) !== null })
  }

  async #refuseNow(exchange: Exchange, denial: Denial): Promise<void> {
    sendRefusal(exchange, await this.#options.pipeline.refuse(inboundOf(exchange), denial))
  }
}

function inboundOf({ connection, head }: Exchange): Inbound {
  return { connection, head, audience: '' }
}

function holdsToken(query: string): boolean {
  if (query === '') return false
  const names = [...new URLSearchParams(query).keys()].map((name) => name.toLowerCase())
  return names.some((name) => TOKEN_PARAMETERS.includes(name))
}
