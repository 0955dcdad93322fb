/** The metadata that every request of 2026-07-28 carries in `params._meta` (basic/versioning, SEP-2575). */

import type { JsonObject, JsonValue } from '../json-value.ts'
import { isJsonObject } from '../json/object.ts'
import { isRequestId } from './message.ts'

const VERSION_KEY = 'io.modelcontextprotocol/protocolVersion'
const CAPABILITIES_KEY = 'io.modelcontextprotocol/clientCapabilities'
const CLIENT_INFO_KEY = 'io.modelcontextprotocol/clientInfo'
const LOG_LEVEL_KEY = 'io.modelcontextprotocol/logLevel'

const LOG_LEVELS: readonly unknown[] = ['debug', 'info', 'notice', 'warning', 'error', 'critical', 'alert', 'emergency']

/**
 * What the params say of the era: `absent` without the version key, `malformed` with it but without a
 * valid rest, else the version, whatever it is. `key` is the member at fault.
 */
export type Envelope =
  | { readonly kind: 'absent' }
  | { readonly kind: 'malformed'; readonly key: string }
  | { readonly kind: 'present'; readonly version: string; readonly capabilities: JsonObject }

const ABSENT: Envelope = { kind: 'absent' }

export function readEnvelope(params: JsonObject | undefined): Envelope {
  const meta = params?.['_meta']
  if (!isJsonObject(meta)) return ABSENT
  const version = meta[VERSION_KEY]
  if (version === undefined) return ABSENT
  if (typeof version !== 'string') return { kind: 'malformed', key: VERSION_KEY }
  const capabilities = meta[CAPABILITIES_KEY]
  if (!isCapabilities(capabilities)) return { kind: 'malformed', key: CAPABILITIES_KEY }
  const key = firstFault(meta)
  return key === null ? { kind: 'present', version, capabilities } : { kind: 'malformed', key }
}

function firstFault(meta: JsonObject): string | null {
  if (meta[CLIENT_INFO_KEY] !== undefined && !isImplementation(meta[CLIENT_INFO_KEY])) return CLIENT_INFO_KEY
  if (meta[LOG_LEVEL_KEY] !== undefined && !LOG_LEVELS.includes(meta[LOG_LEVEL_KEY])) return LOG_LEVEL_KEY
  if (meta['progressToken'] !== undefined && !isRequestId(meta['progressToken'])) return 'progressToken'
  return null
}

/** An object of objects. */
function isCapabilities(value: JsonValue | undefined): value is JsonObject {
  return isJsonObject(value) && Object.values(value).every(isJsonObject)
}

function isImplementation(value: JsonValue | undefined): boolean {
  return isJsonObject(value) && typeof value['name'] === 'string' && typeof value['version'] === 'string'
}
