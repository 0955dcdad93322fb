/** What anybody may read: trust bundle, liveness, readiness. Empty bodies but for the bundle. */

import { deny, limitArrival } from '@doorward/enforcement'
import type { Denial, Inbound, Pipeline } from '@doorward/enforcement'
import { sendRefusal } from './denial-response.ts'
import { send } from './exchange.ts'
import type { Exchange } from './exchange.ts'

export interface PublicOptions {
  readonly pipeline: Pipeline
  /** True when calls can be served now. */
  readonly ready: () => boolean
  /** The SPIFFE bundle as JSON; null where none is served. */
  readonly bundle: (() => string) | null
}

type PublicAnswer = { readonly status: number; readonly type?: string; readonly body?: string } | Denial

/** Answers one request. Never rejects. Nothing here needs a credential, so only refusals leave a trace. */
export async function servePublic(exchange: Exchange, options: PublicOptions): Promise<void> {
  const inbound: Inbound = { connection: exchange.connection, head: exchange.head, audience: '' }
  const { limiter, connectionLimits } = options.pipeline.dependencies
  const refused = (await limitArrival(inbound, limiter, connectionLimits)) ?? exchange.problem
  const answer = refused ?? publicAnswer(exchange, options)
  if ('denied' in answer) {
    sendRefusal(exchange, await options.pipeline.refuse(inbound, answer))
    return
  }
  const type: Readonly<Record<string, string>> = answer.type === undefined ? {} : { 'Content-Type': answer.type }
  send(exchange, answer.status, { 'Cache-Control': 'no-store', ...type }, answer.body ?? '')
}

function publicAnswer({ head }: Exchange, { ready, bundle }: PublicOptions): PublicAnswer {
  const known =
    head.path === '/livez' || head.path === '/readyz' || (bundle !== null && head.path === '/v1/trust-bundle')
  if (!known) return deny('path_unknown', 'nothing is at this path')
  if (head.method !== 'GET') return deny('http_method', `expected GET, got ${head.method}`)
  if (head.path === '/livez') return { status: 200 }
  if (head.path === '/readyz') return { status: ready() ? 200 : 503 }
  return { status: 200, type: 'application/json', body: bundle?.() ?? '' }
}
