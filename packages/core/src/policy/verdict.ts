/** From what the policies say about each party to a verdict: any error in a policy that applies denies, and every party must be allowed. */

import { principalName } from '../identity/principal.ts'
import { actionTable } from './action.ts'
import type { Party } from './call-world.ts'
import type { Authorization } from './cedar/policy-set.ts'
import type { ApprovalDuty, DecisionRequest, Obligation, PolicyVersion, Verdict } from './decision.ts'
import { permissionFor } from './permission.ts'
import type { RoleSet } from './role-set.ts'

/** A request and the version it is judged under. */
export interface Judged {
  readonly request: DecisionRequest
  readonly version: PolicyVersion
}

const filterList: readonly Obligation[] = [{ kind: 'filter-list' }]
const nothing: readonly Obligation[] = []

function what({ principal, action, resource }: DecisionRequest): string {
  const target = resource.name === '' ? resource.server : `${resource.server}/${resource.name.slice(0, 200)}`
  return `${principalName(principal)}: ${action.name} (${action.group}) on ${resource.kind} ${target}`
}

export function allowed(
  { request, version }: Judged,
  policies: readonly string[],
  approvals: readonly ApprovalDuty[],
): Verdict {
  const lists = actionTable.get(request.action.name)?.lists === true
  // What lists asks for nobody.
  const obligations = approvals.length > 0 ? approvals : lists ? filterList : nothing
  return { effect: 'allow', policies, obligations, version }
}

/** Something in the request is unknown, or no policy is active. No permission would allow it. */
export function deniedUnknown({ request, version }: Judged, why: string): Verdict {
  return {
    effect: 'deny',
    reason: 'none',
    policies: [],
    explanation: `${why}; ${what(request)}`,
    wouldAllow: null,
    version,
  }
}

/** No sound answer was to be had. */
export function deniedError({ request, version }: Judged, why: string, policies: readonly string[] = []): Verdict {
  return {
    effect: 'deny',
    reason: 'error',
    policies,
    explanation: `${why}; ${what(request)}`,
    wouldAllow: null,
    version,
  }
}

function rolesIn(roles: RoleSet): string {
  return roles.size === 0 ? 'without roles' : `with the roles ${[...roles].join(', ')}`
}

/** The denial that the answer about one party means; null when that party is allowed. */
export function denialOf(judged: Judged, { uid, roles }: Party, answer: Authorization): Verdict | null {
  const [failed] = answer.errors
  if (failed !== undefined) {
    const ids = answer.errors.map((error) => error.policyId)
    return deniedError(judged, `policy ${failed.policyId} failed: ${failed.message}`, ids)
  }
  if (answer.decision === 'allow') return null
  const { request, version } = judged
  const party = `${uid.id} ${rolesIn(roles)}`
  const { reasons } = answer
  const forbidden = reasons.length > 0
  const why = forbidden ? `forbidden to ${party} by ${reasons.join(', ')}` : `nothing allows it to ${party}`
  const explanation = `${why}; ${what(request)}`
  if (forbidden) return { effect: 'deny', reason: 'forbid', policies: reasons, explanation, wouldAllow: null, version }
  const wouldAllow = permissionFor(request.action, request.resource)
  return { effect: 'deny', reason: 'none', policies: [], explanation, wouldAllow, version }
}
