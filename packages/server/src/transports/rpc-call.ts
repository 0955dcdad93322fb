/** Plain JSON-RPC by a declared mapping: the method of the body is what is called, and counts as what the operator says it does. */

import { DEFAULT_JSON_LIMITS, readRpcCall, scanJson } from '@doorward/core'
import type { ToolEffect } from '@doorward/core'
import { deny, isMediaType } from '@doorward/enforcement'
import type { Call, Classifier, Denial } from '@doorward/enforcement'
import type { BackendCall, BackendCallOptions, BackendProtocol } from './backend-call.ts'
import { exactRpc } from './exact-call.ts'

const JSON_TYPE = 'application/json'

/** What `services.<name>.json_rpc` declares: methods that are not listed exist for nobody. */
export function rpcProtocol(methods: ReadonlyMap<string, ToolEffect>): BackendProtocol {
  return {
    prefix: '/http/',
    headProblem: ({ method, query }, path) => messageProblem({ method, query }, path === '/' || path === ''),
    classifier: (options) => rpcClassifier(options, methods),
    form: () => ({ rpc: true }),
  }
}

/** Messages are posted to one place, and whatever else could say something of them is refused. */
export function messageProblem(
  { method, query }: { readonly method: string; readonly query: string },
  isItsPath: boolean,
): Denial | null {
  if (!isItsPath) return deny('path_unknown', 'messages are posted to one path')
  if (method !== 'POST') return deny('http_method', `expected POST, got ${method}`)
  return query === '' ? null : deny('request_invalid', 'a query beside a message')
}

function rpcClassifier(
  { backend, head, trace }: BackendCallOptions,
  methods: ReadonlyMap<string, ToolEffect>,
): Classifier<BackendCall> {
  return (body): Call<BackendCall> | Denial => {
    if (!isMediaType(head.headers['content-type'], JSON_TYPE))
      return deny('content_type', 'expected application/json, in UTF-8')
    const scan = scanJson(body, { ...DEFAULT_JSON_LIMITS, maxBytes: body.length })
    if (!scan.ok) return deny(scan.code, `${scan.message}, at byte ${scan.offset}`)
    const call = readRpcCall(scan.value)
    if ('code' in call) return deny(call.code, call.message, { rpcId: call.id ?? undefined })
    const { id, method } = call
    const group = methods.get(method)
    if (group === undefined) return deny('method_unknown', 'the method is not declared', { rpcId: id })
    return {
      action: { name: 'rpc/call', group },
      resource: { server: backend, kind: 'tool', name: method },
      args: undefined,
      exact: () => exactRpc(body, scan.value),
      rpcId: id,
      detail: { method: 'POST', path: null, query: '', head, trace, message: null, contentType: JSON_TYPE },
    }
  }
}
