/** What sessions and single requests at one HTTP server share: where it is, how many at once, what we say of ourselves. */

import type { TLSSocket } from 'node:tls'
import { principalName } from '@doorward/core'
import type { ActionGroup, JsonObject, Principal } from '@doorward/core'
import type { CallTrace, TrafficOptions } from '@doorward/enforcement'
import type { CredentialedAnswer, Given, Sender, SentRequest, ServerCredential } from './server-credential.ts'
import type { UpstreamFailure } from './server-credential.ts'
import type { UpstreamLimits } from './upstream.ts'

/** How the gateway proves itself to, and recognises, a server. */
export type UpstreamTls =
  /** Plain HTTP to a loopback address, as the operator insisted. */
  | { readonly kind: 'none' }
  /** The system's certification authorities. */
  | { readonly kind: 'system' }
  /** Connections that prove both ends by other means, such as our own identity. */
  | { readonly kind: 'connector'; readonly connect: (host: string, port: number) => Promise<TLSSocket> }

export interface HttpUpstreamOptions {
  readonly name: string
  readonly url: string
  readonly tls: UpstreamTls
  readonly limits: UpstreamLimits
  readonly traffic: TrafficOptions
  /** What the gateway proves itself with in each request; nothing by default. */
  readonly credential?: ServerCredential | null
  readonly onFailure: (reason: string) => void
  /** Writes an entry about an act of the gateway's own; rejects when it is not durable. */
  readonly recordAct: (body: JsonObject) => Promise<void>
  readonly monotonic: () => number
}

export interface Wire {
  readonly options: HttpUpstreamOptions
  readonly path: string
  /** As `CredentialedSender`. */
  dispatch(request: SentRequest, handler: CredentialedAnswer, sender: Sender, given?: Given): void
  /** As `CredentialedSender`. */
  widen(scopes: readonly string[], sender: Sender, given: Given): Promise<UpstreamFailure | null>
  /** True where a request that is answered with 401 may be sent once more. */
  readonly renews: boolean
  enter(): boolean
  leave(): void
}

/** What may be tried once more when nothing of it has been sent: it changes nothing, by declaration or by its kind. */
export const REPEATABLE: ReadonlySet<ActionGroup> = new Set(['read', 'session'])

/** Where there is a trace, the server hears of our span and of the caller's vendors, never of the caller's own header. */
export function ownHeaders(trace: CallTrace | null): Record<string, string> {
  const headers: Record<string, string> = { 'user-agent': 'doorward' }
  if (trace === null) return headers
  headers['traceparent'] = trace.traceparent
  if (trace.tracestate !== null) headers['tracestate'] = trace.tracestate
  return headers
}

/** Puts on record what the gateway has used in a request of its own, for whom. */
export function ownUse(
  { name, recordAct }: Pick<HttpUpstreamOptions, 'name' | 'recordAct'>,
  principal: Principal | null,
): (use: JsonObject) => void {
  const caller = principal === null ? {} : { caller: principalName(principal) }
  // The request goes on beside it: what it asks was decided before, or asks nothing of anybody's.
  return (use) => void recordAct({ event: 'secret.use', server: name, ...caller, ...use }).catch(() => undefined)
}
