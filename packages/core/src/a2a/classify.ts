/** Which action on which task a request to an agent asks for. The body decides; the header of its version may only agree. */

import type { JsonObject, JsonValue } from '../json-value.ts'
import { memberSpan } from '../json/item-spans.ts'
import { isJsonObject, member } from '../json/object.ts'
import { readRpcCall } from '../json/rpc-call.ts'
import type { RpcId } from '../json/rpc-call.ts'
import type { A2aMethod, A2aRevision, A2aVersion } from './method.ts'
import { hasMisreadKey, namesIn } from './names.ts'
import type { A2aName } from './names.ts'
import { A2A_0_3 } from './revision-0-3.ts'
import { A2A_1_0 } from './revision-1-0.ts'

export interface A2aRequest {
  readonly kind: 'request'
  readonly version: A2aVersion
  readonly row: A2aMethod
  readonly id: RpcId
  /** All names of the body, in the order of its rows. */
  readonly names: readonly A2aName[]
  /** The task that it is about, as the caller names it; null for none. One of `names`. */
  readonly task: A2aName | null
}

/** Codes are those of denials; `rpc` is what A2A has for it, where that is another code than the denial's own. */
export interface A2aRefusal {
  readonly kind: 'refusal'
  readonly code:
    | 'message_malformed'
    | 'message_batch'
    | 'method_unknown'
    | 'notification_unknown'
    | 'protocol_version'
    | 'push_notification_refused'
    | 'request_invalid'
    | 'subject_missing'
  readonly id: RpcId | null
  readonly rpc: number | null
  readonly message: string
}

/** Codes of A2A beside those of JSON-RPC (1.0 §5.4, 0.3 §8.2). */
export const a2aErrors = {
  taskNotFound: -32_001,
  pushNotSupported: -32_003,
  invalidAgentResponse: -32_006,
  extendedCardNotConfigured: -32_007,
  versionNotSupported: -32_009,
  invalidParams: -32_602,
} as const

export const a2aRevisions: readonly A2aRevision[] = [A2A_1_0, A2A_0_3]

export interface A2aExchange {
  readonly body: Uint8Array
  /** What `scanJson` made of it. */
  readonly value: JsonValue
  /** `A2A-Version`, where it is there. */
  readonly version: string | undefined
}

/**
 * One JSON-RPC request of a listed method. Everything else is refused: batches, notifications, methods that are not listed,
 * a version that is not the method's, keys that others could read as one that counts, a tenant, and whatever tells an agent
 * to send notifications to somebody. Not checked: what a message says, and whose the names are.
 */
export function classifyA2a({ body, value, version }: A2aExchange): A2aRequest | A2aRefusal {
  const call = readRpcCall(value)
  if ('code' in call) return refuse(call.code, call.id, call.message)
  const { id, method, params = {} } = call
  if (!isJsonObject(params)) return refuse('message_malformed', id, 'expected params to be an object')
  const revision = a2aRevisions.find(({ methods, push, extendedCard }) =>
    [methods.has(method), push.has(method), extendedCard === method].includes(true),
  )
  if (revision === undefined) return refuse('method_unknown', id, 'no method of A2A')
  if (versionOf(version) !== revision.version)
    return refuse('protocol_version', id, `${method} is of A2A ${revision.version}`, a2aErrors.versionNotSupported)
  const row = revision.methods.get(method)
  if (row === undefined)
    return revision.push.has(method)
      ? refuse('push_notification_refused', id, `${method} is not passed on`)
      : refuse('method_unknown', id, 'the public card is all there is', a2aErrors.extendedCardNotConfigured)
  const problem = paramsProblem(params)
  if (problem !== null) return refuse(problem.code, id, problem.message, problem.rpc)
  return named({ body, value }, { id, row, version: revision.version })
}

function named(
  { body, value }: Pick<A2aExchange, 'body' | 'value'>,
  { id, row, version }: Pick<A2aRequest, 'id' | 'row' | 'version'>,
): A2aRequest | A2aRefusal {
  const names = namesIn({ bytes: body, value }, row.params, { path: ['params'], speaker: 'caller' })
  if (names === null) return refuse('request_invalid', id, 'expected names as A2A spells them', a2aErrors.invalidParams)
  const span = row.task === null ? null : memberSpan(body, ['params', ...row.task.path])
  const task = names.find((one) => one.span.start === span?.start) ?? null
  if (task === null && row.task?.required === true)
    return refuse('subject_missing', id, `expected params.${row.task.path.join('.')} to name a task`)
  return { kind: 'request', version, row, id, names, task }
}

/** Of a header: patches count for nothing, and none at all means 0.3 (A2A 1.0 §3.6.2). */
function versionOf(header: string | undefined): string {
  const text = header?.trim() ?? ''
  return text === '' ? '0.3' : (/^(\d{1,4}\.\d{1,4})(?:\.\d{1,4})?$/.exec(text)?.[1] ?? text)
}

const PUSH = ['pushNotificationConfig', 'taskPushNotificationConfig', 'pushNotification']
const WATCHED = ['id', 'name', 'tenant', 'message', 'configuration', ...PUSH]

type ParamsProblem = Pick<A2aRefusal, 'code' | 'message' | 'rpc'>

function paramsProblem(params: JsonObject): ParamsProblem | null {
  const invalid = (message: string): ParamsProblem => ({
    code: 'request_invalid',
    message,
    rpc: a2aErrors.invalidParams,
  })
  if (hasMisreadKey(params, WATCHED)) return invalid('a key that can be read as another one')
  const tenant = member(params, 'tenant')
  if (tenant !== undefined && tenant !== null && tenant !== '')
    return invalid('the tenant is not the caller’s to choose')
  const configuration = member(params, 'configuration') ?? {}
  if (!isJsonObject(configuration) || hasMisreadKey(configuration, PUSH)) return invalid('a configuration that is none')
  const pushes = PUSH.some((key) => [configuration, params].some((object) => (member(object, key) ?? null) !== null))
  return pushes ? { code: 'push_notification_refused', message: 'a URL to be sent notifications', rpc: null } : null
}

function refuse(code: A2aRefusal['code'], id: RpcId | null, message: string, rpc: number | null = null): A2aRefusal {
  return { kind: 'refusal', code, id, rpc, message }
}
