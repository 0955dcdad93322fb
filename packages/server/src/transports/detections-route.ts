/** `POST /v1/detections`: gateways tell of credentials that they refused and that nobody has issued (reference id DT-1). */

import { exactObject, isText } from '@doorward/core'
import type { JsonValue } from '@doorward/core'
import { deny, isDenial, sightingReasons } from '@doorward/enforcement'
import type { Denial, Permit, Sighting } from '@doorward/enforcement'
import type { Authority } from '../authority/authority.ts'
import { callerOf, requestOf } from './api-routes.ts'
import type { ApiAnswer, ApiRequest, ApiRoute } from './api-routes.ts'

/** In one request; whoever sees more tells the rest later. */
export const maxDetections = 16
const MAX_ID = 2048
const MAX_TEXT = 128
const members = ['kind', 'key_id', 'credential', 'claimed', 'reason', 'unissued', 'remote_address', 'listener']

export function detectionsRoute(authority: Authority): ApiRoute {
  return {
    method: 'POST',
    path: '/v1/detections',
    credential: 'token',
    group: 'write',
    body: 'json',
    handle: (permit) => report(authority, permit),
  }
}

async function report(authority: Authority, permit: Permit<ApiRequest>): Promise<ApiAnswer | Denial> {
  const body = exactObject(requestOf(permit).json ?? {}, ['detections'])
  const listed = body?.['detections']
  if (!Array.isArray(listed) || listed.length > maxDetections)
    return deny('request_invalid', `expected at most ${maxDetections} detections`)
  const sightings = (listed as readonly JsonValue[]).map((one) => readSighting(one))
  const problem = sightings.find((one) => isDenial(one))
  if (problem !== undefined && isDenial(problem)) return problem
  const source = callerOf(permit).presenter.uri
  for (const sighting of sightings) if (!isDenial(sighting)) await authority.sighted(sighting, source)
  return { kind: 'json', status: 204, value: null }
}

/** As it goes over the wire. */
export function sightingDocument(sighting: Sighting): object {
  const { kind, keyId, credential, claimed, reason, unissued, remoteAddress, listener } = sighting
  return { kind, key_id: keyId, credential, claimed, reason, unissued, remote_address: remoteAddress, listener }
}

function readSighting(value: JsonValue): Sighting | Denial {
  const document = exactObject(value, members)
  if (document === null) return deny('request_invalid', `expected exactly ${members.join(', ')}`)
  const { kind, key_id, credential, claimed, reason, unissued, remote_address, listener } = document as Readonly<
    Record<string, JsonValue>
  >
  const known = sightingReasons.find((one) => one === reason)
  const texts = isText(key_id, MAX_TEXT) && isText(remote_address, MAX_TEXT) && isText(listener, MAX_TEXT)
  if (!texts || known === undefined || (kind !== 'certificate' && kind !== 'token'))
    return deny('request_invalid', 'expected a kind, a reason, a key id, an address and a listener')
  if (!isTextOrEmpty(credential, MAX_TEXT) || !isTextOrEmpty(claimed, MAX_ID))
    return deny('request_invalid', 'expected credential and claimed to be texts')
  if (unissued !== null && !isText(unissued, MAX_TEXT))
    return deny('request_invalid', 'expected unissued to be a fingerprint or null')
  return {
    kind,
    keyId: key_id,
    credential,
    claimed,
    reason: known,
    unissued,
    remoteAddress: remote_address,
    listener,
  }
}

function isTextOrEmpty(value: JsonValue | undefined, most: number): value is string {
  return value === '' || isText(value, most)
}
