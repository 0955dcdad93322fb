/** From a request for a plain HTTP service to what the pipeline decides about: the method is the action, the path the resource. */

import { groupOfMethod, queryProblem, routeName } from '@doorward/enforcement'
import type { Classifier, RequestHead } from '@doorward/enforcement'
import type { CallTrace } from './call-trace.ts'
import { exactRequest } from './exact-call.ts'

/** What the forwarder needs of a judged request. */
export interface BackendCall {
  readonly method: string
  /** Path at the service, below its base: as it came, which is canonical. */
  readonly path: string
  readonly query: string
  readonly head: RequestHead
  readonly trace: CallTrace | null
}

export interface BackendRoute {
  readonly backend: string
  /** The path after `/http/<service>`. */
  readonly path: string
}

const PREFIX = '/http/'

/** True for paths of services. */
export function isBackendPath(path: string): boolean {
  return path.startsWith(PREFIX)
}

/** Which service, and which path there; null when the path names none. */
export function backendRoute(path: string): BackendRoute | null {
  const slash = path.indexOf('/', PREFIX.length)
  if (!isBackendPath(path) || slash < 0) return null
  return { backend: path.slice(PREFIX.length, slash), path: path.slice(slash) }
}

/** Every method that a service may have; all others exist for nobody. */
export const backendMethods = ['GET', 'HEAD', 'OPTIONS', 'POST', 'PUT', 'PATCH', 'DELETE'] as const
export type BackendMethod = (typeof backendMethods)[number]

export interface BackendCallOptions extends BackendRoute {
  readonly head: RequestHead
  readonly trace: CallTrace | null
}

/** The classifier of one request to a service. */
export function backendClassifier(options: BackendCallOptions): Classifier<BackendCall> {
  return (body) => {
    const { backend, path, head, trace } = options
    const problem = queryProblem(head.query)
    if (problem !== null) return problem
    const resource = { server: backend, kind: 'route', name: routeName(path) } as const
    return {
      action: { name: head.method, group: groupOfMethod(head.method) },
      resource,
      args: undefined,
      exact: () => exactRequest(head, path, body),
      rpcId: undefined,
      detail: { method: head.method, path, query: head.query, head, trace },
    }
  }
}
