/** The trace of a call, as far as transports have to do with it. */

import type { RequestHead } from './inbound.ts'

export interface CallTrace {
  readonly traceId: string
  /** Its spans are kept. */
  readonly sampled: boolean
  /** For the server. */
  readonly traceparent: string
  readonly tracestate: string | null
}

/** Null for a call that belongs to no trace. Must not throw. */
export type BeginTrace = (head: RequestHead) => CallTrace | null
