/**
 * `GET /v1/approvals`, `GET /v1/approvals/request?id=…`, `POST /v1/approvals/decision`: what waits for approvers, and their
 * answers. Whoever is in a group of approvers may ask, and nobody else: no role includes it, not that of an administrator.
 */

import { exactObject, isJsonObject, isText, toSeconds } from '@doorward/core'
import type { JsonObject, JsonValue } from '@doorward/core'
import { deny, isDenial } from '@doorward/enforcement'
import type {
  ApprovalDesk,
  ApprovalRequest,
  Denial,
  DecisionOutcome,
  DecisionRefusal,
  Permit,
} from '@doorward/enforcement'
import { callerOf, requestOf } from './api-routes.ts'
import type { ApiAnswer, ApiRequest, ApiRoute } from './api-routes.ts'

export type ApprovalsPort = Pick<ApprovalDesk, 'groupsOf' | 'listFor' | 'decide'>

const MOST_LISTED = 500
const MOST_DECIDED = 64
const MAX_REASON = 500

export function approvalRoutes(port: ApprovalsPort): readonly ApiRoute[] {
  return [
    {
      credential: 'token',
      group: 'read',
      method: 'GET',
      path: '/v1/approvals',
      body: 'none',
      handle: async (permit) => list(port, permit),
    },
    {
      credential: 'token',
      group: 'read',
      method: 'GET',
      path: '/v1/approvals/request',
      body: 'none',
      query: ['id'],
      handle: async (permit) => show(port, permit),
    },
    {
      credential: 'token',
      group: 'write',
      method: 'POST',
      path: '/v1/approvals/decision',
      body: 'json',
      handle: (permit) => decide(port, permit),
    },
  ]
}

/** Of the groups of the caller; a denial for whoever is in none. */
function requestsOf(port: ApprovalsPort, permit: Permit<ApiRequest>): readonly ApprovalRequest[] | Denial {
  const groups = port.groupsOf(callerOf(permit))
  return groups.size === 0 ? deny('approver_refused', 'the caller is in no group of approvers') : port.listFor(groups)
}

function list(port: ApprovalsPort, permit: Permit<ApiRequest>): ApiAnswer | Denial {
  const requests = requestsOf(port, permit)
  if ('denied' in requests) return requests
  const shown = requests.slice(0, MOST_LISTED).map(documentOf)
  return { kind: 'json', status: 200, value: { requests: shown, more: requests.length - shown.length } }
}

function show(port: ApprovalsPort, permit: Permit<ApiRequest>): ApiAnswer | Denial {
  const id = requestOf(permit).query.get('id')
  const requests = requestsOf(port, permit)
  if ('denied' in requests) return requests
  const request = requests.find((one) => one.id === id)
  if (request === undefined) return deny('resource_unknown', 'no such request waits for the groups of the caller')
  return { kind: 'json', status: 200, value: { ...documentOf(request), arguments: request.shown } }
}

function documentOf(request: ApprovalRequest): JsonObject {
  const { id, state, digest, caller, action, resource, duties, policy, created, expires, given } = request
  return {
    id,
    state,
    digest,
    ...caller,
    action: action.name,
    group: action.group,
    resource: { ...resource },
    approvers: duties.map(({ by }) => by),
    rules: duties.flatMap(({ rules }) => rules),
    given: given.map(({ group, by, at }) => ({ group, by, at: toSeconds(at) })),
    policy: { ...policy },
    created: toSeconds(created),
    expires: toSeconds(expires),
  }
}

async function decide(port: ApprovalsPort, permit: Permit<ApiRequest>): Promise<ApiAnswer | Denial> {
  const asked = askedIn(requestOf(permit).json)
  if (asked === null)
    return deny('request_invalid', 'expected approve, and requests: [{id, digest}], and perhaps a reason')
  const principal = callerOf(permit)
  if (port.groupsOf(principal).size === 0) return deny('approver_refused', 'the caller is in no group of approvers')
  const { approve, reason, requests } = asked
  const results: { readonly id: string; readonly outcome: DecisionOutcome | DecisionRefusal }[] = []
  for (const request of requests)
    results.push({
      id: request.id,
      outcome: await port.decide(request, { kind: 'caller', principal }, { approve, reason }),
    })
  const [only, ...more] = results
  const refusal = only === undefined || more.length > 0 ? null : refusalOf(only.outcome)
  if (refusal !== null && isDenial(refusal)) return refusal
  return { kind: 'json', status: 200, value: { results } }
}

/** Null for an answer that counts. */
function refusalOf(outcome: DecisionOutcome | DecisionRefusal): Denial | null {
  switch (outcome) {
    case 'approved':
    case 'denied':
    case 'waiting':
      return null
    case 'unknown':
      return deny('resource_unknown', 'no such request waits for the groups of the caller')
    case 'takes_part':
      return deny('approver_refused', 'the caller takes part in the call')
    case 'changed':
    case 'decided':
      return deny('conflict', `the request is ${outcome}`, { details: { reason: `approval_${outcome}` } })
  }
}

interface Asked {
  readonly approve: boolean
  readonly reason: string
  readonly requests: readonly { readonly id: string; readonly digest: string }[]
}

function askedIn(json: JsonObject | null): Asked | null {
  const { approve, requests, reason = '' } = exactObject(json ?? {}, ['approve', 'requests'], ['reason']) ?? {}
  if (typeof approve !== 'boolean' || typeof reason !== 'string' || reason.length > MAX_REASON) return null
  if (!Array.isArray(requests) || requests.length === 0 || requests.length > MOST_DECIDED) return null
  const named = (requests as readonly JsonValue[]).flatMap((one) => namedIn(one))
  return named.length === requests.length ? { approve, reason, requests: named } : null
}

function namedIn(one: JsonValue): readonly { readonly id: string; readonly digest: string }[] {
  if (!isJsonObject(one)) return []
  const { id, digest } = exactObject(one, ['id', 'digest']) ?? {}
  return isText(id, 64) && isText(digest, 64) ? [{ id, digest }] : []
}
