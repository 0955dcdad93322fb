/**
 * `POST /v1/detections`: gateways tell of credentials that they refused and that nobody has issued (reference id DT-1), as
 * `{detections}`, and of what they have found about identities, as `{v: 2, findings}`.
 */

import { epochMillis, exactObject, isSeverity, isText, parseSpiffeId } from '@doorward/core'
import type { JsonObject, JsonValue, SpiffeId, TrustDomain } from '@doorward/core'
import { deny, isDenial, sightingReasons } from '@doorward/enforcement'
import type { Denial, Permit, Sighting, StandingFinding } from '@doorward/enforcement'
import type { Authority } from '../authority/authority.ts'
import type { ToldFinding } from '../authority/detect/told-finding.ts'
import { callerOf, requestOf } from './api-routes.ts'
import type { ApiAnswer, ApiRequest, ApiRoute } from './api-routes.ts'

/** In one request; whoever sees more tells the rest later. */
export const maxDetections = 16
const MAX_ID = 2048
const MAX_TEXT = 128
const MAX_DETAIL = 400
/** Of those of gateways, the ones whose subject may be an identity. */
export const identityDetectors = ['authentication_failures', 'denied_rate', 'limit_exhausted'] as const
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
  const findings = exactObject(requestOf(permit).json ?? {}, ['v', 'findings'])
  if (findings !== null) return reportFindings(authority, permit, findings)
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

async function reportFindings(
  authority: Authority,
  permit: Permit<ApiRequest>,
  { v, findings }: JsonObject,
): Promise<ApiAnswer | Denial> {
  const caller = callerOf(permit).presenter
  if (v !== 2 || !Array.isArray(findings) || findings.length > maxDetections)
    return deny('request_invalid', `expected v 2 and at most ${maxDetections} findings`)
  const read = (findings as readonly JsonValue[]).map((one) => readFinding(one, caller.trustDomain))
  const problem = read.find((one) => isDenial(one))
  if (problem !== undefined && isDenial(problem)) return problem
  for (const finding of read) if (!isDenial(finding)) await authority.found(finding, caller.uri)
  return { kind: 'json', status: 204, value: null }
}

const findingMembers = ['detector', 'subject', 'severity', 'detail', 'since', 'ended']

/** As it goes over the wire. */
export function findingDocument(
  { detector, subject, severity, detail, since }: StandingFinding,
  ended: boolean,
): object {
  return { detector, subject, severity, detail, since, ended }
}

/** About an identity of this trust domain, by a detector that counts identities. */
function readFinding(value: JsonValue, trustDomain: TrustDomain): ToldFinding | Denial {
  const document = exactObject(value, findingMembers)
  if (document === null) return deny('request_invalid', `expected exactly ${findingMembers.join(', ')}`)
  const { detector, subject, severity, detail, since, ended } = document as Readonly<Record<string, JsonValue>>
  const known = identityDetectors.find((name) => name === detector)
  if (known === undefined || !isSeverity(severity) || !isText(detail, MAX_DETAIL))
    return deny('request_invalid', 'expected a detector that counts identities, a severity and a detail')
  if (typeof since !== 'number' || !Number.isSafeInteger(since) || since < 0 || typeof ended !== 'boolean')
    return deny('request_invalid', 'expected milliseconds since the epoch, and whether it has ended')
  const id = isText(subject, MAX_ID) ? readId(subject) : null
  if (id === null || id.trustDomain !== trustDomain)
    return deny('request_invalid', 'expected the SPIFFE ID of an identity of this trust domain')
  return { detector: known, subject: id.uri, severity, detail, since: epochMillis(since), ended }
}

function readId(text: string): SpiffeId | null {
  try {
    return parseSpiffeId(text)
  } catch {
    return null
  }
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
