/** Where the names of tasks and contexts stand in a message, so that others can be put in their place. */

import type { JsonObject, JsonValue } from '../json-value.ts'
import { itemSpans, memberSpan } from '../json/item-spans.ts'
import type { ByteSpan } from '../json/item-spans.ts'
import { isJsonObject, member } from '../json/object.ts'

/** A task, or the conversation that tasks and messages belong to. */
export type A2aNameKind = 'task' | 'context'

/** Which members of an object are names, hold names, or lead to them. What is not listed is not looked at. */
export interface A2aShape {
  /** Members that are one name. */
  readonly names?: Readonly<Record<string, A2aNameKind>>
  /** Members that are a list of names. */
  readonly nameLists?: Readonly<Record<string, A2aNameKind>>
  readonly objects?: Readonly<Record<string, A2aShape>>
  readonly lists?: Readonly<Record<string, A2aShape>>
}

export interface A2aName {
  readonly kind: A2aNameKind
  readonly name: string
  /** Of the whole JSON string, with its quotes. */
  readonly span: ByteSpan
}

/** Who says a name, of the two between whom a gateway stands. */
export type A2aSpeaker = 'caller' | 'agent'

/** What a proof of a gateway's in front of a name begins with: of one that the agent has given, or of a context of a caller's making. */
export const a2aProofs = { given: 'dwa', made: 'dwc' } as const
/** What each says in front of a name that the other knows without it. */
const PROVEN: Readonly<Record<A2aSpeaker, string>> = { caller: `${a2aProofs.given}.`, agent: `${a2aProofs.made}.` }

/** Names of one message. */
const MOST = 10_000
/** UTF-16 units of one name: with a proof, and so many less without, so that what gets one can be said again. */
const LONGEST = 1024
const PROOF = 'dwa.'.length + 44

/**
 * Every name that stands where `shape` says, in the value that `path` leads to. An absent, empty or null member is no name,
 * as JSON of Protocol Buffers has it. Null when something there is of another type than the shape says, when a name is too
 * long or there are too many, and when a key can be read as one of the shape though it is spelled otherwise: readers of
 * Protocol Buffers take `task_id` for `taskId`. `bytes` must have passed `scanJson`, which gave `value`.
 */
export function namesIn(
  { bytes, value }: { readonly bytes: Uint8Array; readonly value: JsonValue },
  shape: A2aShape,
  { path, speaker }: { readonly path: readonly string[]; readonly speaker: A2aSpeaker },
): readonly A2aName[] | null {
  let at: JsonValue | undefined = value
  for (const key of path) at = isJsonObject(at) ? member(at, key) : undefined
  const span = memberSpan(bytes, path)
  if (!isJsonObject(at) || span === null) return null
  const found: Found = { names: [], proven: PROVEN[speaker] }
  return collect({ bytes, span, value: at }, shape, found) ? found.names : null
}

interface Place {
  readonly bytes: Uint8Array
  readonly span: ByteSpan
  readonly value: JsonObject
}

interface Found {
  readonly names: A2aName[]
  /** Begins names with a proof. */
  readonly proven: string
}

function collect(place: Place, shape: A2aShape, found: Found): boolean {
  if (misreads(place.value, shape)) return false
  for (const [key, kind] of Object.entries(shape.names ?? {})) if (!collectName(place, key, kind, found)) return false
  for (const [key, kind] of Object.entries(shape.nameLists ?? {}))
    if (!inList(place, key, (name, span) => push(found, kind, name, span))) return false
  for (const [key, inner] of Object.entries(shape.objects ?? {})) {
    const value = member(place.value, key)
    const span = value === undefined ? null : spanOf(place, key)
    if (value === undefined || value === null) continue
    if (!isJsonObject(value) || span === null) return false
    if (!collect({ bytes: place.bytes, span, value }, inner, found)) return false
  }
  for (const [key, inner] of Object.entries(shape.lists ?? {})) {
    const each = (value: JsonValue, span: ByteSpan) =>
      isJsonObject(value) && collect({ bytes: place.bytes, span, value }, inner, found)
    if (!inList(place, key, each)) return false
  }
  return true
}

function collectName(place: Place, key: string, kind: A2aNameKind, found: Found): boolean {
  const name = member(place.value, key)
  if (name === undefined || name === null || name === '') return true
  const span = spanOf(place, key)
  return span !== null && push(found, kind, name, span)
}

function push({ names, proven }: Found, kind: A2aNameKind, name: JsonValue, span: ByteSpan): boolean {
  if (typeof name !== 'string' || name === '' || names.length === MOST) return false
  if (name.length > (name.startsWith(proven) ? LONGEST : LONGEST - PROOF)) return false
  names.push({ kind, name, span })
  return true
}

function inList(
  { bytes, span, value }: Place,
  key: string,
  each: (item: JsonValue, span: ByteSpan) => boolean,
): boolean {
  const items = member(value, key)
  if (items === undefined || items === null) return true
  if (!Array.isArray(items)) return false
  const spans = itemSpans(bytes.subarray(span.start, span.end), [key])?.items ?? []
  return (items as readonly JsonValue[]).every((item, i) => {
    const at = spans[i]
    return at !== undefined && each(item, { start: at.start + span.start, end: at.end + span.start })
  })
}

function spanOf({ bytes, span }: Place, key: string): ByteSpan | null {
  const at = memberSpan(bytes.subarray(span.start, span.end), [key])
  return at === null ? null : { start: at.start + span.start, end: at.end + span.start }
}

function misreads(value: JsonObject, shape: A2aShape): boolean {
  const known = [shape.names, shape.nameLists, shape.objects, shape.lists].flatMap((part) => Object.keys(part ?? {}))
  return hasMisreadKey(value, known)
}

/** True when a key says one of `known` to a reader that does not look at case, underscores or control characters. */
export function hasMisreadKey(value: JsonObject, known: readonly string[]): boolean {
  const table = new Map(known.map((key) => [asRead(key), key]))
  return Object.keys(value).some((key) => {
    const meant = table.get(asRead(key))
    return meant !== undefined && meant !== key
  })
}

function asRead(key: string): string {
  return key
    .toUpperCase()
    .toLowerCase()
    .replaceAll(/[^a-z0-9]/g, '')
}
