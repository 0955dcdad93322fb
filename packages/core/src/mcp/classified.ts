/** What classification makes of a message. */

import type { JsonObject } from '../json-value.ts'
import type { RequestId } from './message.ts'
import type { ClientMethod, Era, McpSubject } from './method.ts'

interface Judged {
  readonly era: Era
  /** The revision by which the message was judged. */
  readonly revision: string
  readonly subject: McpSubject
}

export interface ClassifiedRequest extends Judged {
  readonly kind: 'request'
  readonly method: string
  readonly row: ClientMethod
  readonly id: RequestId
  /** More subjects that must be allowed as well (`partAction`); empty for all but `subscriptions/listen`. */
  readonly parts: readonly McpSubject[]
  /** `params.arguments` of tools/call and prompts/get. */
  readonly args: JsonObject | undefined
  /** `params._meta.progressToken`. */
  readonly progressToken: RequestId | undefined
  /** What the items of the result are, when the result is a list that must be filtered. */
  readonly listOf: McpSubject['kind'] | undefined
  /** The request asks to be run as a task (2025-11-25 `params.task`). */
  readonly asTask: boolean
  /** What the client declares with this very request (modern era); undefined in the legacy era. */
  readonly capabilities: JsonObject | undefined
}

export interface ClassifiedNotification extends Judged {
  readonly kind: 'notification'
  readonly method: string
  readonly row: ClientMethod
  /** The pending request (`notifications/cancelled`) or progress token (`notifications/progress`) that it names. */
  readonly refersTo: RequestId | undefined
}

/** A client's answer to a request of the server; legal only while that request is pending on the session. */
export interface ClassifiedResponse extends Judged {
  readonly kind: 'response'
  readonly id: RequestId
  readonly outcome: 'result' | 'error'
}

/** Opening the stream of a legacy session (GET) or ending the session (DELETE). */
export interface ClassifiedSessionOperation extends Judged {
  readonly kind: 'session-operation'
  readonly operation: 'stream' | 'end'
}

export type Classified = ClassifiedRequest | ClassifiedNotification | ClassifiedResponse | ClassifiedSessionOperation
