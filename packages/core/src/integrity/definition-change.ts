/** What is different between what was approved and what a server says now: item by item, member by member. */

import { isJsonObject } from '../json/object.ts'
import type { JsonObject, JsonValue } from '../json-value.ts'
import { canonicalJson } from '../kept/canonical-json.ts'
import { definitionKey } from './definition.ts'
import type { Definition, DefinitionKind } from './definition.ts'

export interface MemberChange {
  /** With dots; `[i]` for items of lists. */
  readonly path: string
  /** Undefined where it was not there. */
  readonly before: JsonValue | undefined
  /** Undefined where it is gone. */
  readonly after: JsonValue | undefined
}

export interface DefinitionChange {
  readonly kind: DefinitionKind
  readonly name: string
  readonly change: 'added' | 'removed' | 'changed'
  /** Of what was changed, at most 256. */
  readonly members: readonly MemberChange[]
}

const MAX_MEMBERS = 256

/** In the order of `after`, then what is gone; empty when they are the same. */
export function definitionChanges(
  before: readonly Definition[],
  after: readonly Definition[],
): readonly DefinitionChange[] {
  const old = new Map(before.map((one) => [definitionKey(one), one]))
  const now = new Set(after.map((one) => definitionKey(one)))
  const changes = after.flatMap((one): readonly DefinitionChange[] => {
    const { kind, name, value } = one
    const was = old.get(definitionKey(one))
    if (was === undefined) return [{ kind, name, change: 'added', members: [] }]
    const members: MemberChange[] = []
    compare(was.value, value, '', members)
    return members.length === 0 ? [] : [{ kind, name, change: 'changed', members }]
  })
  const gone = before.filter((one) => !now.has(definitionKey(one)))
  return [...changes, ...gone.map(({ kind, name }) => ({ kind, name, change: 'removed', members: [] }) as const)]
}

/** Recursive: the depth is bounded by whoever has parsed both. */
function compare(
  before: JsonValue | undefined,
  after: JsonValue | undefined,
  path: string,
  found: MemberChange[],
): void {
  if (found.length >= MAX_MEMBERS) return
  if (isJsonObject(before) && isJsonObject(after)) return compareObjects(before, after, path, found)
  if (Array.isArray(before) && Array.isArray(after)) {
    const [old, now] = [before as readonly JsonValue[], after as readonly JsonValue[]]
    for (let i = 0; i < Math.max(old.length, now.length); i++) compare(old[i], now[i], `${path}[${i}]`, found)
    return
  }
  if (textOf(before) !== textOf(after)) found.push({ path, before, after })
}

function compareObjects(before: JsonObject, after: JsonObject, path: string, found: MemberChange[]): void {
  for (const name of new Set([...Object.keys(before), ...Object.keys(after)])) {
    const at = (object: JsonObject) => (Object.hasOwn(object, name) ? object[name] : undefined)
    compare(at(before), at(after), path === '' ? name : `${path}.${name}`, found)
  }
}

function textOf(value: JsonValue | undefined): string {
  return value === undefined ? '' : canonicalJson(value)
}
