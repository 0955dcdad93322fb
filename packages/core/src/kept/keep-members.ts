/** Applies the paths of a rule to the arguments of one call. */

import { utf8 } from '../bytes.ts'
import { isJsonObject } from '../json/object.ts'
import type { JsonObject, JsonValue } from '../json-value.ts'
import type { KeepMode, KeepNode } from './member-paths.ts'
import { REDACTED, withoutSecrets } from './secret-filter.ts'

export interface KeepOptions {
  /** Hexadecimal HMAC of the canonical value. */
  readonly hmac: (value: JsonValue) => string
  /** Of what is kept, as JSON; more is a problem. */
  readonly maxBytes: number
}

/** Path → what is kept of it, by mode; or why nothing is. `not_an_object`, `too_large`. */
export type KeptMembers =
  | { readonly members: Partial<Record<KeepMode, JsonObject>> }
  | { readonly problem: 'not_an_object' | 'too_large' }

/** More members than this are too many, however small they are. */
const MAX_MEMBERS = 256

/** `value` is undefined for a call without arguments, of which there is nothing to keep. */
export function keepMembers(node: KeepNode, value: unknown, options: KeepOptions): KeptMembers {
  if (value === undefined) return { members: {} }
  const object = value as JsonValue
  if (!isJsonObject(object)) return { problem: 'not_an_object' }
  const kept: Kept = { store: [], hmac: [], redact: [], left: MAX_MEMBERS }
  if (!collect(node, object, { path: '', kept, options })) return { problem: 'too_large' }
  const members = Object.fromEntries(
    (['store', 'hmac', 'redact'] as const)
      .filter((mode) => kept[mode].length > 0)
      .map((mode) => [mode, Object.fromEntries(kept[mode])]),
  )
  if (utf8(JSON.stringify(members)).length > options.maxBytes) return { problem: 'too_large' }
  return { members }
}

interface Kept extends Record<KeepMode, (readonly [string, JsonValue])[]> {
  left: number
}

interface Collecting {
  readonly path: string
  readonly kept: Kept
  readonly options: KeepOptions
}

/** False when there is too much. */
function collect(node: KeepNode, object: JsonObject, at: Collecting): boolean {
  for (const [name, value] of Object.entries(object)) {
    const named = node.members.get(name)
    const mode = named === undefined ? node.rest : named.mode
    const path = at.path === '' ? name : `${at.path}.${name}`
    if (mode !== null) {
      if (at.kept.left-- <= 0) return false
      at.kept[mode].push([withoutSecrets(path) as string, formOf(mode, { name, value }, at.options)])
    } else if (named !== undefined && isJsonObject(value) && !collect(named, value, { ...at, path })) return false
  }
  return true
}

function formOf(mode: KeepMode, { name, value }: { name: string; value: JsonValue }, { hmac }: KeepOptions): JsonValue {
  if (mode === 'redact') return REDACTED
  return mode === 'hmac' ? hmac(value) : withoutSecrets(value, name)
}
