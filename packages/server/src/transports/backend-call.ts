/** From a request for a plain HTTP service to what the pipeline decides about: the method is the action, the path the resource. */

import { deny, groupOfMethod, queryProblem, routeName, exactRequest } from '@doorward/enforcement'
import type { AnswerFilter, Classifier, Denial, RefusalForm, RequestHead, CallTrace } from '@doorward/enforcement'
import type { JsonObject } from '@doorward/core'

/** What the forwarder needs of a judged request. */
export interface BackendCall {
  readonly method: string
  /** Path at the service, below its base: as it came, which is canonical. Null for the configured URL and nothing else. */
  readonly path: string | null
  readonly query: string
  readonly head: RequestHead
  readonly trace: CallTrace | null
  /** Null where the body passes as it came, and of the headers those that are listed. */
  readonly message: MessageCall | null
  /** Of the body, where it was read as that; as its sender has it by default. */
  readonly contentType?: string
  /** What the gateway itself answers, once it is permitted; null when there is nothing. What has none is sent on. */
  readonly own?: () => JsonObject | null
}

/** A message whose protocol is known here. */
export interface MessageCall {
  /** What is sent: the judged bytes, with names as the other side knows them. */
  readonly body: Uint8Array
  /** Called when it is permitted, before it is sent. */
  readonly permitted: () => void
  /** All headers that are sent beside our own. */
  readonly headers: Readonly<Record<string, string>>
  readonly id: string | number
  /** Several answers may come, as events. */
  readonly streams: boolean
  /** Reads answers of that content type; null for a type that is none. */
  readonly filter: (contentType: string, answerBytes: number) => AnswerFilter | null
}

export interface BackendRoute {
  readonly prefix: BackendProtocol['prefix']
  readonly backend: string
  /** The path after `/http/<service>`; empty where there is none. */
  readonly path: string
}

const PREFIXES: readonly BackendProtocol['prefix'][] = ['/http/', '/a2a/']

/** True for paths of services and agents. */
export function isBackendPath(path: string): boolean {
  return PREFIXES.some((prefix) => path.startsWith(prefix))
}

/** Which service or agent, and which path there; null when the path names none. */
export function backendRoute(path: string): BackendRoute | null {
  const prefix = PREFIXES.find((one) => path.startsWith(one))
  if (prefix === undefined) return null
  const slash = path.indexOf('/', prefix.length)
  const end = slash < 0 ? path.length : slash
  return { prefix, backend: path.slice(prefix.length, end), path: path.slice(end) }
}

/** Every method that a service may have; all others exist for nobody. */
export const backendMethods = ['GET', 'HEAD', 'OPTIONS', 'POST', 'PUT', 'PATCH', 'DELETE'] as const
export type BackendMethod = (typeof backendMethods)[number]

export interface BackendCallOptions extends Pick<BackendRoute, 'backend' | 'path'> {
  readonly head: RequestHead
  readonly trace: CallTrace | null
}

/** What the paths of a service, or of an agent, are spoken in. */
export interface BackendProtocol {
  /** First segment of its paths. */
  readonly prefix: '/http/' | '/a2a/'
  /** Null when the head is one of it. */
  readonly headProblem: (head: RequestHead, path: string) => Denial | null
  readonly classifier: (options: BackendCallOptions) => Classifier<BackendCall>
  /** Of refusals of a request with this head. */
  readonly form: (head: RequestHead) => RefusalForm
}

/** A service by method and path. */
export function plainProtocol(methods: ReadonlySet<string>): BackendProtocol {
  return {
    prefix: '/http/',
    headProblem: ({ method }, path) => {
      if (path === '') return deny('path_unknown', 'expected a path of the service')
      return methods.has(method) ? null : deny('http_method', `${method} is not a method of the service`)
    },
    classifier: backendClassifier,
    form: () => ({}),
  }
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
      detail: { method: head.method, path, query: head.query, head, trace, message: null },
    }
  }
}
