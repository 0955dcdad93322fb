/** What servers declare that they can do, and by which requests their clients make use of it: whoever may send none has no use for it. */

import type { JsonObject, JsonValue } from '../json-value.ts'
import { cutMembers } from '../json/item-spans.ts'
import { isJsonObject } from '../json/object.ts'
import { fieldTable, hasLookalikeKey } from './lookalike-keys.ts'
import type { ClientMethod, McpSubject, Revision } from './method.ts'
import { TASKS_EXTENSION } from './modern-result.ts'

/** A request that makes use of a capability, about something of that kind. */
export interface CapabilityUse {
  readonly method: string
  readonly kind: McpSubject['kind']
  readonly group: ClientMethod['group']
}

/** A member of `capabilities`, however deep. */
export interface ServerCapability {
  readonly path: readonly string[]
  /** It is kept where one of them could be allowed. */
  readonly uses: readonly CapabilityUse[]
}

type Rule = readonly [
  path: readonly string[],
  ...uses: readonly (readonly [method: string, kind: McpSubject['kind']])[],
]

const RULES: readonly Rule[] = [
  [['tools'], ['tools/call', 'tool']],
  [['prompts'], ['prompts/get', 'prompt']],
  [
    ['resources'],
    ['resources/read', 'resource'],
    ['resources/subscribe', 'resource'],
    ['subscriptions/listen', 'resource'],
  ],
  [
    ['resources', 'subscribe'],
    ['resources/subscribe', 'resource'],
    ['subscriptions/listen', 'resource'],
  ],
  [['completions'], ['completion/complete', 'prompt'], ['completion/complete', 'resource']],
  [['logging'], ['logging/setLevel', 'server']],
  [['tasks'], ['tasks/get', 'task'], ['tasks/result', 'task'], ['tasks/cancel', 'task']],
  [
    ['tasks', 'list'],
    ['tasks/list', 'server'],
  ],
  [
    ['tasks', 'cancel'],
    ['tasks/cancel', 'task'],
  ],
  [
    ['tasks', 'requests', 'tools'],
    ['tools/call', 'tool'],
  ],
  [
    ['extensions', TASKS_EXTENSION],
    ['tasks/get', 'task'],
    ['tasks/update', 'task'],
    ['tasks/cancel', 'task'],
  ],
]

/**
 * Those of them that the capabilities hold and that the revision has requests for. What it has none for, and what is not
 * listed here, nobody can be denied: it passes.
 */
export function declaredCapabilities(capabilities: JsonObject, { client }: Revision): readonly ServerCapability[] {
  return RULES.flatMap(([path, ...named]) => {
    if (!leadsSomewhere(capabilities, path)) return []
    const uses = named.flatMap(([method, kind]): readonly CapabilityUse[] => {
      const row = client.get(method)
      // What is named beside a request is asked about as a part of it.
      return row === undefined ? [] : [{ method, kind, group: method === LISTEN ? 'read' : row.group }]
    })
    return uses.length === 0 ? [] : [{ path, uses }]
  })
}

const LISTEN = 'subscriptions/listen'

function leadsSomewhere(capabilities: JsonObject, path: readonly string[]): boolean {
  let at: JsonValue | undefined = capabilities
  for (const key of path) at = isJsonObject(at) && Object.hasOwn(at, key) ? at[key] : undefined
  return at !== undefined
}

const FIELDS = fieldTable(
  ...new Set(RULES.flatMap(([path]) => path)),
  'extensions',
  'experimental',
  'listChanged',
  'call',
  'requests',
)

/** True when a key on the way to a capability can be read as another one. */
export function hasLookalikeCapability(capabilities: JsonObject): boolean {
  return RULES.some(([path]) => {
    let at: JsonValue | undefined = capabilities
    for (const key of path) {
      if (!isJsonObject(at)) return false
      if (hasLookalikeKey(at, FIELDS)) return true
      at = at[key]
    }
    return false
  })
}

/** The answer whose result has the capabilities, without those of the paths; every other byte is kept. */
export function withoutCapabilities(bytes: Uint8Array, paths: readonly (readonly string[])[]): Uint8Array {
  let left = bytes
  for (const path of paths) {
    const above = path.slice(0, -1)
    const last = path.at(-1)
    left = cutMembers(left, ['result', 'capabilities', ...above], (key) => key !== last) ?? left
  }
  return left
}
