/** Plain JSON-RPC services behind the gateway: what is decided is decided by the path; this is where messages are posted to. */

import type { ToolEffect } from '@doorward/core'
import { isDenial, jsonType, messageProblem, rpcRequest, exactRpc } from '@doorward/enforcement'
import type { Call, Classifier, Denial } from '@doorward/enforcement'
import type { BackendCall, BackendCallOptions, BackendProtocol } from './backend-call.ts'

/** What `services.<name>.json_rpc` declares: methods that are not listed exist for nobody. */
export function rpcProtocol(methods: ReadonlyMap<string, ToolEffect>): BackendProtocol {
  return {
    prefix: '/http/',
    headProblem: ({ method, query }, path) => messageProblem({ method, query }, path === '/' || path === ''),
    classifier: (options) => rpcClassifier(options, methods),
    form: () => ({ rpc: true }),
  }
}

function rpcClassifier(
  { backend, head, trace }: BackendCallOptions,
  methods: ReadonlyMap<string, ToolEffect>,
): Classifier<BackendCall> {
  return (body): Call<BackendCall> | Denial => {
    const request = rpcRequest(body, head, { service: backend, methods })
    if (isDenial(request)) return request
    const { action, resource, id, value } = request
    return {
      action,
      resource,
      args: undefined,
      exact: () => exactRpc(body, value),
      rpcId: id,
      detail: { method: 'POST', path: null, query: '', head, trace, message: null, contentType: jsonType },
    }
  }
}
