/** What a program offers, and how a request for it is judged: routes of its own, an MCP server, an agent, or declared methods. */

import type { ServerResponse } from 'node:http'
import { groupOfMethod, routeName } from '@doorward/enforcement'
import type { Call, Denial, DenialCode, Identified, RefusalForm, RequestHead, TrustView } from '@doorward/enforcement'
import type { JsonObject } from '@doorward/core'
import type { DeliveredMessage, ToldIdentity } from './delivered-request.ts'
import type { RouteTable } from './route-table.ts'

export interface Asked {
  readonly route: string
  /** Told to the handler with the request; null where nobody looks for it. */
  readonly identity: ToldIdentity | null
  /** What the handler is given in the place of what came; what came by default. */
  readonly message?: AskedMessage
  /** What is answered without the handler; nothing by default. */
  readonly own?: JsonObject
}

export interface AskedMessage extends DeliveredMessage {
  /** Called when it is permitted, before it is delivered: what has come between meanwhile, or null. */
  permitted(): Denial | null
  /** Stands between handler and caller until what it returns takes it off; null for an answer that goes as it comes. */
  guard(response: ServerResponse, answering: Answering): (() => void) | null
  /** Called when the call is not allowed any more, while its answer is under way. */
  forbidden?(answering: Answering): void
  /** Called once, when nothing more comes of it, whether it was delivered or not. */
  ended?(): void
}

/** What may be done about an answer that is under way. */
export interface Answering {
  /** Nothing more of it is told; the caller hears of the code where nothing has been told yet. */
  readonly fails: (code: DenialCode, explanation: string) => void
  /** The answer itself tells of a failure. */
  readonly note: (code: DenialCode) => void
  /** Breaks it off. */
  readonly end: (denial: Denial) => void
  /** Gives the handler a message of our own; nobody has the answer. */
  readonly tell: (message: Uint8Array, headers: Readonly<Record<string, string>>) => void
}

export interface AskedRequest {
  readonly head: RequestHead
  readonly body: Uint8Array
  readonly identified: Identified
  /** Takes back what was begun for it, when it is refused. */
  readonly onRefused: (undo: () => void) => void
}

export interface Surface {
  classify(asked: AskedRequest): Call<Asked> | Denial
  form(denial: Denial, head: RequestHead): RefusalForm
  /** What outlives a request; nothing by default. */
  readonly lasting?: LastingState
}

export interface LastingState {
  /** Called now and then. */
  sweep(): void
  /** Called whenever trust changes. */
  review(view: TrustView): void
  /** Ends the answers that would never end by themselves. */
  endStreams(): void
}

/** The method is the action, the path the resource. `service` is the program's name in policy. */
export function routeSurface(routes: RouteTable, service: string): Surface {
  return {
    classify: ({ head }) => {
      const route = routes.find(head)
      if (typeof route !== 'string') return route
      return {
        action: { name: head.method, group: groupOfMethod(head.method) },
        resource: { server: service, kind: 'route', name: routeName(head.path) },
        args: undefined,
        rpcId: undefined,
        detail: { route, identity: null },
      }
    },
    form: () => ({}),
  }
}
