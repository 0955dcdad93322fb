/** The way to servers. `forward` accepts nothing but a permit: what has not been decided and recorded does not leave. */

import { utf8 } from '@doorward/core'
import type { RequestId } from '@doorward/core'
import type { Denial, DenialCode, Permit } from '@doorward/enforcement'
import type { McpCall } from './mcp-call.ts'
import type { McpSession } from './session.ts'

/** Where the server's answer goes: one HTTP response towards the caller. */
export interface Reply {
  /** True once nothing can be sent any more. */
  readonly closed: boolean
  readonly started: boolean
  /** A complete answer of one JSON message. */
  json(status: number, body: Uint8Array, headers?: Readonly<Record<string, string>>): void
  /** A complete answer without body. */
  status(status: number, headers?: Readonly<Record<string, string>>): void
  /** Begins an event stream; further calls do nothing. */
  stream(): void
  /** Sends bytes of the stream; false when the caller reads too slowly, then wait for `drained`. */
  write(bytes: Uint8Array): boolean
  drained(): Promise<void>
  /** Ends the stream as a server would. */
  end(): void
  /** Answers that the server failed us: a refusal after the decision, told with the decision's id. */
  fail(code: DenialCode, explanation: string): void
  /** The answer told of a failure in a message of its own: for the outcome. */
  note(code: DenialCode): void
  /** The caller has gone, or the answer is complete. */
  onClose(listener: () => void): void
}

/** One session's end at its server. */
export interface UpstreamSession {
  /** Carries out one permitted message; the reply is used later too. Never throws and never rejects. */
  forward(permit: Permit<McpCall>, reply: Reply): void
  /** Tells the server that nobody may have the answer to the request any more. */
  cancel(id: RequestId): void
  /** Lets the server go; pending replies end. */
  end(): void
}

/** Our own `notifications/cancelled`. */
export function cancellation(requestId: RequestId): Uint8Array {
  const params = { requestId, reason: 'the call is not allowed any more' }
  return utf8(JSON.stringify({ jsonrpc: '2.0', method: 'notifications/cancelled', params }))
}

/** One configured server. */
export interface Upstream {
  readonly name: string
  /** `stdio` or `http`, for status and logs. */
  readonly transport: 'stdio' | 'http'
  open(session: McpSession): UpstreamSession
  close(): Promise<void>
}

/** A denial found after the permit. */
export type UpstreamFailure = Pick<Denial, 'code' | 'explanation'>

export interface UpstreamLimits {
  /** Until the head of the answer; 30 s by default. */
  readonly responseMilliseconds: number
  /** The longest that a stream stays open; 15 minutes by default. */
  readonly streamMilliseconds: number
  /** Bytes of one message; 4 MiB by default. */
  readonly messageBytes: number
  /** Requests under way at one server; 1024 by default. */
  readonly concurrency: number
}

export const defaultUpstreamLimits: UpstreamLimits = {
  responseMilliseconds: 30_000,
  streamMilliseconds: 15 * 60_000,
  messageBytes: 4 * 1024 * 1024,
  concurrency: 1024,
}
