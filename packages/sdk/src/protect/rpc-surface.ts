/** Plain JSON-RPC in the program, by a declared mapping: the method of the body is what is called. */

import { DoorwardError, isEndpointPath, isRpcMethod } from '@doorward/core'
import type { ToolEffect } from '@doorward/core'
import { isDenial, jsonType, messageProblem, rpcRequest } from '@doorward/enforcement'
import type { Call, Denial, RequestHead } from '@doorward/enforcement'
import type { Asked, Surface } from './surface.ts'

export interface JsonRpcOptions {
  /** Where the handler is asked; `/rpc` by default. */
  readonly path?: string
  /** What each method counts as. What is not among them exists for nobody. */
  readonly methods: Readonly<Record<string, ToolEffect>>
}

const EFFECTS: ReadonlySet<string> = new Set(['read', 'write', 'admin'])

/** Throws `rpc_path` and `rpc_methods`. */
export function rpcSurface({ path = '/rpc', methods }: JsonRpcOptions): (service: string) => Surface {
  if (!isEndpointPath(path))
    throw new DoorwardError('rpc_path', 'no path of an endpoint', { got: path.slice(0, 200), expected: '/rpc' })
  const declared = requireMethods(methods)
  return (service) => ({
    classify: ({ head, body }) =>
      messageProblem(head, head.path === path) ?? rpcCall(head, body, { service, path, declared }),
    form: () => ({ rpc: true }),
  })
}

function requireMethods(methods: JsonRpcOptions['methods']): ReadonlyMap<string, ToolEffect> {
  const declared = new Map(Object.entries(methods))
  const wrong = [...declared].find(([name, effect]) => !isRpcMethod(name) || !EFFECTS.has(effect))
  if (declared.size > 0 && wrong === undefined) return declared
  throw new DoorwardError('rpc_methods', 'methods that nobody could call', {
    expected: 'names of methods, each read, write or admin',
    got: wrong === undefined ? 'none' : wrong.join(': ').slice(0, 200),
  })
}

interface Declared {
  readonly service: string
  readonly path: string
  readonly declared: ReadonlyMap<string, ToolEffect>
}

function rpcCall(head: RequestHead, body: Uint8Array, { service, path, declared }: Declared): Call<Asked> | Denial {
  const request = rpcRequest(body, head, { service, methods: declared })
  if (isDenial(request)) return request
  const { action, resource, id } = request
  // It is delivered as what it was read as, whatever its caller calls it.
  const message = {
    body,
    headers: { 'content-type': jsonType },
    alone: false,
    permitted: () => null,
    guard: () => null,
  }
  return {
    action,
    resource,
    args: undefined,
    rpcId: id,
    detail: { route: `POST ${path}`, identity: null, message },
  }
}
