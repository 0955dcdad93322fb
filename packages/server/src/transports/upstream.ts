/** The way to servers. `forward` accepts nothing but a permit: what has not been decided and recorded does not leave. */

import type { JsonObject, RequestId } from '@doorward/core'
import type { Denial, DenialCode, Outcome, Permit, McpCall, McpSession } from '@doorward/enforcement'
import type { ServerVersions } from './server-versions.ts'

/** How an answer ended: `code` is why it failed, `http` the status that was sent, 0 for none. */
export interface ReplyEnd {
  readonly status: Outcome['status']
  readonly code: DenialCode | undefined
  readonly http: number
}

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
  /** Sends whole events, one call after the other; resolves when little enough waits for the caller, or it has gone. */
  send(bytes: Uint8Array): Promise<void>
  /** Sends a last event, at once. A caller that has not taken what was sent before does not get it: its connection ends. */
  write(bytes: Uint8Array): void
  /** Ends the stream as a server would. */
  end(): void
  /** Answers that the server failed us: a refusal after the decision, told with the decision's id. */
  fail(code: DenialCode, explanation: string, retryAfterSeconds?: number): void
  /** As `fail`, with a denial that says more. */
  refuse(denial: Denial): void
  /** The answer told of a failure in a message of its own: for the outcome. */
  note(code: DenialCode): void
  /** Known secrets were taken out of so many texts of the answer: for the outcome. */
  redacted(count: number): void
  /** What of our credentials the call was sent with, by name and version: for the outcome. */
  used(use: JsonObject): void
  /** The call is tried once more, because nothing of it has been sent: for the outcome. */
  retried(): void
  /** The caller has gone, or the answer is complete. */
  onClose(listener: (end: ReplyEnd) => void): void
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

/** The modern era at a server, where each request stands alone. */
export interface ModernUpstream {
  readonly versions: ServerVersions
  /**
   * Carries out one permitted request, where the server speaks its version. Never throws and never rejects. When the caller
   * goes, so does the request.
   */
  forward(permit: Permit<McpCall>, reply: Reply): void
}

/** One configured server. */
export interface Upstream {
  readonly name: string
  /** For status and logs; `http` is streamable HTTP. */
  readonly transport: 'stdio' | 'http' | 'sse'
  open(session: McpSession): UpstreamSession
  /** Null where the server is reached in the legacy era alone. */
  readonly modern: ModernUpstream | null
  close(): Promise<void>
}

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
