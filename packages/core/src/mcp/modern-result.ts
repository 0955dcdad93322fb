/** What a result of 2026-07-28 may say: requests to the user and tasks, of kinds that the client has declared (SEP-2322, SEP-2663). */

import type { JsonObject, JsonValue } from '../json-value.ts'
import { isJsonObject } from '../json/object.ts'
import { fieldTable, hasLookalikeKey } from './lookalike-keys.ts'
import type { ServerMethod } from './method.ts'
import { ON_SERVER, serverRequest } from './method-rows.ts'
import { elicitationMode, isCapable } from './server-message.ts'

/** The extension that lets a server answer with a task (SEP-2663). */
export const TASKS_EXTENSION = 'io.modelcontextprotocol/tasks'

const RESULT_FIELDS = fieldTable(
  '_meta',
  'cacheScope',
  'capabilities',
  'inputRequests',
  'requestState',
  'resultType',
  'status',
  'supportedVersions',
  'taskId',
  'ttlMs',
)
const INPUT_FIELDS = fieldTable('method', 'params')
const MODE_FIELDS = fieldTable('mode')
const INPUT_METHODS: ReadonlyMap<string, ServerMethod> = new Map(
  [
    serverRequest('sampling/createMessage', ON_SERVER, 'sampling'),
    serverRequest('roots/list', ON_SERVER, 'roots'),
    serverRequest('elicitation/create', ON_SERVER, 'elicitation'),
  ].map((row) => [row.method, row]),
)
/** Requests that may be answered with `input_required`; `tasks/get` tells of a task that waits for input. */
const ASKING: ReadonlySet<string> = new Set(['tools/call', 'resources/read', 'prompts/get'])
const TELLING: ReadonlySet<string> = new Set([...ASKING, 'tasks/get'])
/** More than a user could answer. */
const MAX_INPUT_REQUESTS = 64

/**
 * Why the result may not reach the client, or null. `method` is that of the request, `capabilities` what its client has
 * declared in its metadata. What `complete` results say is not looked at, nor are result types of other extensions.
 */
export function modernResultProblem(
  result: JsonObject,
  method: string,
  capabilities: JsonObject | undefined,
): string | null {
  if (hasLookalikeKey(result, RESULT_FIELDS)) return 'the result can be read in two ways'
  const { resultType, inputRequests } = result
  if (resultType === 'input_required' && !ASKING.has(method)) return `${method} may not ask for input`
  if (resultType === 'task' && !(method === 'tools/call' && declaresTasks(capabilities)))
    return 'a task for a client that has not declared tasks'
  if (inputRequests === undefined) return null
  if (!TELLING.has(method)) return `${method} may not ask for input`
  return inputProblem(inputRequests, capabilities)
}

function declaresTasks(capabilities: JsonObject | undefined): boolean {
  const extensions = capabilities?.['extensions']
  return isJsonObject(extensions) && isJsonObject(extensions[TASKS_EXTENSION])
}

function inputProblem(requests: JsonValue, capabilities: JsonObject | undefined): string | null {
  if (!isJsonObject(requests)) return 'input requests that cannot be read'
  const keys = Object.keys(requests)
  if (keys.length > MAX_INPUT_REQUESTS) return `${keys.length} input requests`
  for (const key of keys) {
    const request = requests[key]
    if (!isJsonObject(request) || hasLookalikeKey(request, INPUT_FIELDS)) return 'an input request that cannot be read'
    const { method, params } = request
    const row = typeof method === 'string' ? INPUT_METHODS.get(method) : undefined
    if (row === undefined) return 'an input request of a kind that does not exist'
    const given = isJsonObject(params) ? params : {}
    const mode = row.capability === 'elicitation' ? elicitationMode(given['mode']) : undefined
    if (mode === null || hasLookalikeKey(given, MODE_FIELDS)) return 'an input request that cannot be read'
    if (!isCapable(capabilities, { row, mode })) return `the client has not declared what ${row.method} needs`
  }
  return null
}
