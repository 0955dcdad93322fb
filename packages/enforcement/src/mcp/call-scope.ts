/**
 * What the messages of a server are judged by: a legacy session, or a single request of the modern era, which has no
 * session. Whoever judges them need not know which of the two it is.
 */

import type { ClassifiedRequest, JsonValue, RequestId, Revision } from '@doorward/core'
import type { Identified } from '../identify.ts'
import type { EventNames } from './event-names.ts'

/** A client's request that its server has not answered. */
export interface PendingRequest {
  readonly id: RequestId
  readonly method: string
  /** Name of what it is about, such as the tool; empty for the server itself. */
  readonly subject: string
  readonly progressToken: RequestId | undefined
  /** Who has made it: others of the same owner may have come since, with a token that allows more, or less. */
  readonly identified: Identified
  /** Servers need not answer what was cancelled. Of what is withheld no answer passes, and its id stays taken. */
  state: 'waiting' | 'cancelled' | 'answered' | 'withheld'
  /** The exchange that it came in is over: an answer can only come on another stream of the session. */
  left: boolean
}

/** Of a request that its server is about to have. */
export function pendingRequest(
  { id, method, subject, progressToken }: ClassifiedRequest,
  identified: Identified,
): PendingRequest {
  return { id, method, subject: subject.name, progressToken, identified, state: 'waiting', left: false }
}

export interface CallScope {
  readonly server: string
  /** On whose behalf and by whom. */
  readonly owner: string
  /** The caller of the newest request, by whom everything is judged that answers none. */
  readonly identified: Identified
  /** By which the server's messages are read. */
  readonly revision: Revision
  /** What the client has declared that it can be asked. */
  readonly clientCapabilities: JsonValue | undefined
  /** True while a request with this id waits for its answer. */
  waits(id: RequestId): boolean
  /** The request that this id answers, which then waits no longer; null when nobody waits. */
  answered(id: RequestId): PendingRequest | null
  /** Remembers a request of the server; false when too many wait, or the era knows none. */
  asked(id: RequestId): boolean
  /** The server wants no answer to its request any more. */
  unasked(id: RequestId): void
  /** True for the progress token of a request of which nothing passes any more. */
  isWithheld(progressToken: RequestId): boolean
  /** The version that the answer to `initialize` settles on. */
  settle(version: string): void
  /** Names of events whose own ids must not be told; null where no stream is taken up again. */
  readonly events: EventNames | null
  /** Set where handles of the server are bound to their callers: by a request of the modern era. */
  readonly handles: ScopedHandles | null
}

/** Names that the server gives and its callers give back, such as task ids: each good for whom it was given to. */
export interface ScopedHandles {
  /** What is put before a state that the server wants to see again with this very request. */
  statePrefix(state: string): string
  /** What is put before a task id. */
  taskPrefix(taskId: string): string
}
