/** Leaving out of a list what its reader may not use. */

import { itemSpans, spliceItems } from '../json/item-spans.ts'
import type { JsonLimits } from '../json/limits.ts'
import { scanJson } from '../json/scan.ts'
import type { JsonObject, JsonValue } from '../json-value.ts'
import { isJsonObject } from '../json/object.ts'
import { fieldTable, hasLookalikeKey } from './lookalike-keys.ts'
import { parseMessage } from './message.ts'
import type { ListRule, McpSubject } from './method.ts'
import { REVISIONS } from './revisions.ts'
import { isSubjectName } from './subject.ts'

/** What a server's answer may be: 4 MiB, depth 64 (tool schemas nest), 50,000 keys, of any name. */
export const LIST_LIMITS: JsonLimits = { maxBytes: 4_194_304, maxDepth: 64, maxKeys: 50_000, prototypeKeys: 'keep' }

export type FilteredList =
  | {
      readonly ok: true
      /** The very bytes given when nothing is hidden. */
      readonly bytes: Uint8Array
      readonly total: number
      readonly hidden: number
    }
  | { readonly ok: false; readonly code: 'mcp_list_malformed'; readonly message: string }

const LIST_RULES: ReadonlyMap<string, ListRule> = new Map(
  Array.from(REVISIONS.values()).flatMap((revision) =>
    Array.from(revision.client.values()).flatMap((row) =>
      row.list === undefined ? [] : [[row.method, row.list] as const],
    ),
  ),
)

const RESULT_FIELDS = fieldTable(
  '_meta',
  'nextCursor',
  'tools',
  'prompts',
  'resources',
  'resourceTemplates',
  'tasks',
  'resultType',
  'ttlMs',
  'cacheScope',
)
const ITEM_FIELDS = fieldTable('name', 'uri', 'uriTemplate', 'taskId')

/**
 * Filters the JSON-RPC response to a list request (`tools/list`, `prompts/list`, `resources/list`,
 * `resources/templates/list`, `tasks/list`) by cutting the hidden items out of its bytes; order,
 * `nextCursor` and the spelling of everything that stays are kept. `allowed` must be the decision that
 * a call would meet. An error response passes as it is. What cannot be read without doubt is
 * `mcp_list_malformed`, to be answered with an error: no list is better than an unfiltered one.
 */
export function filterListResult(
  bytes: Uint8Array,
  method: string,
  allowed: (subject: McpSubject) => boolean,
  limits: JsonLimits = LIST_LIMITS,
): FilteredList {
  const rule = LIST_RULES.get(method)
  if (rule === undefined) return malformed('expected a method whose result is a list')
  const scan = scanJson(bytes, limits)
  if (!scan.ok) return malformed(`${scan.code}: ${scan.message}`)
  const message = parseMessage(scan.value)
  if (message.kind === 'error') return { ok: true, bytes, total: 0, hidden: 0 }
  if (message.kind !== 'result' || hasLookalikeKey(message.result, RESULT_FIELDS))
    return malformed('expected a result that can be read in one way')
  const keep = judgeItems(message.result, rule, allowed)
  if (keep === null) return malformed(`expected result.${rule.items} to be a list of items with a ${rule.name}`)
  const hidden = keep.reduce((count, kept) => (kept ? count : count + 1), 0)
  if (hidden === 0) return { ok: true, bytes, total: keep.length, hidden }
  const spans = itemSpans(bytes, ['result', rule.items])
  if (spans?.items.length !== keep.length) return malformed('expected as many items as were judged')
  return { ok: true, bytes: spliceItems(bytes, spans, keep), total: keep.length, hidden }
}

function malformed(message: string): FilteredList {
  return { ok: false, code: 'mcp_list_malformed', message }
}

function judgeItems(result: JsonObject, rule: ListRule, allowed: (subject: McpSubject) => boolean): boolean[] | null {
  const items = result[rule.items]
  if (!Array.isArray(items)) return null
  const keep: boolean[] = []
  for (const item of items as readonly JsonValue[]) {
    if (!isJsonObject(item) || hasLookalikeKey(item, ITEM_FIELDS)) return null
    const name = item[rule.name]
    if (!isSubjectName(name)) return null
    keep.push(allowed({ kind: rule.kind, name }))
  }
  return keep
}
