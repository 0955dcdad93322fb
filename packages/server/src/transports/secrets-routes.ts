/** `GET`, `POST`, `PUT` and `DELETE /v1/secrets`: the gateway's own secrets, put and never told. */

import { DoorwardError, exactObject, isText, Secret, utf8 } from '@doorward/core'
import type { JsonObject, JsonValue } from '@doorward/core'
import { deny } from '@doorward/enforcement'
import type { Denial, Permit } from '@doorward/enforcement'
import { byOf, forOperators } from './admin-caller.ts'
import { requestOf } from './api-routes.ts'
import type { ApiAnswer, ApiRequest, ApiRoute } from './api-routes.ts'

/** Each change is on record, as made `by` somebody, before it counts. Nothing of it ever tells a value. */
export interface SecretsPort {
  /** Names, sources, versions and who may use each; what keeps a value from being had. */
  list(): Promise<readonly JsonObject[]>
  /** Rejects with `secret_undeclared`, `secret_exists`, `secret_store_full`. */
  put(name: string, value: Secret, by: string): Promise<JsonObject>
  /** Rejects with `secret_undeclared`, `secret_missing`, `secret_store_full`. */
  rotate(name: string, value: Secret, by: string): Promise<JsonObject>
  /** Rejects with `secret_missing`. */
  remove(name: string, by: string): Promise<JsonObject>
}

const MAX_NAME = 63
/** Of a value, in UTF-8. */
const MAX_VALUE = 64 * 1024
/** JSON may write each byte in six. */
const bodyBytes = 6 * MAX_VALUE + 4096

const path = '/v1/secrets'

/**
 * `POST` keeps a new secret, `PUT` another value of one that is there; both answer with name and version. What is there
 * already, or is not, is refused with `conflict` or `resource_unknown`, with a `reason` in its details.
 */
export function secretsRoutes(port: SecretsPort): readonly ApiRoute[] {
  return [
    {
      ...forOperators,
      method: 'GET',
      path,
      body: 'none',
      handle: async () => ({ kind: 'json', status: 200, value: { secrets: await port.list() } }),
    },
    {
      ...forOperators,
      method: 'POST',
      path,
      body: 'json',
      bodyBytes,
      handle: changing((...told) => port.put(...told)),
    },
    {
      ...forOperators,
      method: 'PUT',
      path,
      body: 'json',
      bodyBytes,
      handle: changing((...told) => port.rotate(...told)),
    },
    {
      ...forOperators,
      method: 'DELETE',
      path,
      body: 'none',
      query: ['name'],
      handle: async (permit) => {
        const name = requestOf(permit).query.get('name')
        if (!isText(name, MAX_NAME)) return deny('request_invalid', 'expected the name of a secret')
        return answered(() => port.remove(name, byOf(permit)))
      },
    },
  ]
}

type Change = (name: string, value: Secret, by: string) => Promise<JsonObject>

function changing(change: Change): (permit: Permit<ApiRequest>) => Promise<ApiAnswer | Denial> {
  return async (permit) => {
    const { name, value } = exactObject(requestOf(permit).json ?? {}, ['name', 'value']) ?? {}
    if (!isText(name, MAX_NAME)) return deny('request_invalid', 'expected name and value')
    if (!isValue(value)) return deny('request_invalid', `expected a value of 1 to ${MAX_VALUE} bytes without NUL`)
    return answered(() => change(name, new Secret(value), byOf(permit)))
  }
}

function isValue(value: JsonValue | undefined): value is string {
  return typeof value === 'string' && value !== '' && !value.includes('\0') && utf8(value).length <= MAX_VALUE
}

const conflicts: readonly string[] = ['secret_exists', 'secret_undeclared', 'secret_store_full']

async function answered(work: () => Promise<JsonObject>): Promise<ApiAnswer | Denial> {
  try {
    return { kind: 'json', status: 200, value: await work() }
  } catch (error) {
    if (!(error instanceof DoorwardError)) throw error
    const { code, message } = error
    if (code === 'secret_missing') return deny('resource_unknown', message, { details: { reason: code } })
    if (code === 'secret_name') return deny('request_invalid', message)
    if (conflicts.includes(code)) return deny('conflict', message, { details: { reason: code } })
    throw error
  }
}
