/** One JSON-RPC answer of an agent, and the names in it. */

import type { JsonObject, JsonValue } from '../json-value.ts'
import { itemSpans } from '../json/item-spans.ts'
import type { ArraySpans } from '../json/item-spans.ts'
import { isJsonObject, member } from '../json/object.ts'
import type { RpcId } from '../json/rpc-call.ts'
import type { A2aMethod } from './method.ts'
import { namesIn } from './names.ts'
import type { A2aName } from './names.ts'

export type A2aAnswer =
  /** An error has no names: what it says of a task is text. */
  | { readonly kind: 'error' }
  | { readonly kind: 'result'; readonly names: readonly A2aName[] }
  | { readonly kind: 'list'; readonly tasks: readonly A2aListed[]; readonly spans: ArraySpans }

/** One task of a list. */
export interface A2aListed {
  readonly id: string
  readonly names: readonly A2aName[]
}

const RESULT = { path: ['result'], speaker: 'agent' } as const

/** Null for what is no answer to this request. `bytes` must have passed `scanJson`, which gave `value`. */
export function readA2aAnswer(
  { bytes, value }: { readonly bytes: Uint8Array; readonly value: JsonValue },
  { id, row }: { readonly id: RpcId; readonly row: A2aMethod },
): A2aAnswer | null {
  if (!isJsonObject(value) || value['jsonrpc'] !== '2.0') return null
  const { result, error } = value
  if (error !== undefined && error !== null) {
    // Who cannot read a request does not know its id.
    const answers = value['id'] === id || (value['id'] ?? null) === null
    return answers && result === undefined && isError(error) ? { kind: 'error' } : null
  }
  if (value['id'] !== id || !isJsonObject(result) || !isOneOf(result, row.oneOf)) return null
  if (row.lists) return listOf(bytes, value, row)
  const names = namesIn({ bytes, value }, row.result, RESULT)
  return names === null ? null : { kind: 'result', names }
}

function isError(error: JsonValue): boolean {
  return isJsonObject(error) && Number.isSafeInteger(error['code']) && typeof error['message'] === 'string'
}

function isOneOf(result: JsonObject, members: readonly string[] | null): boolean {
  return members === null || members.filter((key) => (member(result, key) ?? null) !== null).length === 1
}

function listOf(bytes: Uint8Array, value: JsonObject, row: A2aMethod): A2aAnswer | null {
  const { result } = value
  const tasks = isJsonObject(result) ? (member(result, 'tasks') ?? null) : null
  const names = namesIn({ bytes, value }, row.result, RESULT)
  const spans = itemSpans(bytes, ['result', 'tasks'])
  if (names === null || !Array.isArray(tasks) || spans === null) return null
  // Names come in the order of the tasks that they stand in.
  let next = 0
  const listed = spans.items.map(({ end }, i): A2aListed => {
    const task = (tasks as readonly JsonValue[])[i]
    const id = isJsonObject(task) ? member(task, 'id') : undefined
    const first = next
    while ((names[next]?.span.end ?? Infinity) <= end) next++
    return { id: typeof id === 'string' ? id : '', names: names.slice(first, next) }
  })
  return { kind: 'list', tasks: listed, spans }
}
