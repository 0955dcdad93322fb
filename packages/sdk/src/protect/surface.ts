/** What a program offers, and how a request for it is judged: routes of its own, an MCP server, an agent, or declared methods. */

import { groupOfMethod, routeName } from '@doorward/enforcement'
import type { Call, Denial, Identified, RefusalForm, RequestHead } from '@doorward/enforcement'
import type { JsonObject } from '@doorward/core'
import type { DeliveredMessage, ToldIdentity } from './delivered-request.ts'
import type { OpenFilter } from './filtered-answer.ts'
import type { JudgeAnswer } from './held-answer.ts'
import type { RouteTable } from './route-table.ts'

export interface Asked {
  readonly route: string
  /** What the answer must pass before its caller has it; null for one that goes as it comes. */
  readonly judge: JudgeAnswer | null
  /** Told to the handler with the request; null where nobody looks for it. */
  readonly identity: ToldIdentity | null
  /** What the handler is given in the place of what came; what came by default. */
  readonly message?: AskedMessage
  /** What is answered without the handler; nothing by default. */
  readonly own?: JsonObject
}

export interface AskedMessage extends DeliveredMessage {
  /** Called when it is permitted, before it is delivered. */
  readonly permitted: () => void
  /** Reads the answer; null for one that goes as it comes. */
  readonly filter: OpenFilter | null
}

export interface Surface {
  classify(head: RequestHead, body: Uint8Array, identified: Identified): Call<Asked> | Denial
  form(denial: Denial, head: RequestHead): RefusalForm
}

/** The method is the action, the path the resource. `service` is the program's name in policy. */
export function routeSurface(routes: RouteTable, service: string): Surface {
  return {
    classify: (head) => {
      const route = routes.find(head)
      if (typeof route !== 'string') return route
      return {
        action: { name: head.method, group: groupOfMethod(head.method) },
        resource: { server: service, kind: 'route', name: routeName(head.path) },
        args: undefined,
        rpcId: undefined,
        detail: { route, judge: null, identity: null },
      }
    },
    form: () => ({}),
  }
}
