/** Which versions a server speaks: the gateway's own `server/discover`, and what its answer says (2026-07-28 server/discover). */

import { utf8 } from '../bytes.ts'
import type { JsonValue } from '../json-value.ts'
import { isJsonObject } from '../json/object.ts'
import { TASKS_EXTENSION } from './modern-result.ts'
import { SUPPORTED_VERSIONS } from './revisions.ts'

const ID = 'doorward-discover'
const VERSION = '2026-07-28'
const UNSUPPORTED = -32022

/** The question, always of the same bytes: nothing of any caller is in it. */
export const DISCOVER_REQUEST: Uint8Array = utf8(
  JSON.stringify({
    jsonrpc: '2.0',
    id: ID,
    method: 'server/discover',
    params: {
      _meta: {
        'io.modelcontextprotocol/protocolVersion': VERSION,
        'io.modelcontextprotocol/clientCapabilities': {},
        'io.modelcontextprotocol/clientInfo': { name: 'doorward', version: '1' },
      },
    },
  }),
)

/** The headers that repeat it over HTTP (SEP-2243). */
export const DISCOVER_HEADERS: Readonly<Record<string, string>> = {
  'mcp-protocol-version': VERSION,
  'mcp-method': 'server/discover',
}

export interface Discovered {
  /** Those that the answer names and we know, newest first. */
  readonly versions: readonly string[]
  /** The server has said that it knows no tasks (SEP-2663). */
  readonly taskless: boolean
}

/**
 * What the scanned answer says: a result, or an error that names the versions that would do. Null when the message is no such
 * answer, which means a server of the legacy era.
 */
export function readDiscovery(message: JsonValue): Discovered | null {
  if (!isJsonObject(message) || message['id'] !== ID) return null
  const { result, error } = message
  if (isJsonObject(result)) return discovered(result['supportedVersions'], isTaskless(result['capabilities']))
  if (!isJsonObject(error) || error['code'] !== UNSUPPORTED) return null
  const { data } = error
  return isJsonObject(data) ? discovered(data['supported'], false) : null
}

function discovered(named: JsonValue | undefined, taskless: boolean): Discovered | null {
  const versions = knownVersions(named)
  return versions === null ? null : { versions, taskless }
}

function isTaskless(capabilities: JsonValue | undefined): boolean {
  const extensions = isJsonObject(capabilities) ? capabilities['extensions'] : undefined
  return !isJsonObject(extensions) || extensions[TASKS_EXTENSION] === undefined
}

/** Of a list of versions those that we know, newest first; null when it is no list. */
export function knownVersions(versions: JsonValue | undefined): readonly string[] | null {
  if (!Array.isArray(versions)) return null
  return SUPPORTED_VERSIONS.filter((version) => (versions as readonly JsonValue[]).includes(version))
}
