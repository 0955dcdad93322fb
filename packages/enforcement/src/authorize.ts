/** Stage 3: may this principal do this to that. Unmatched, erroring and unanswerable deny. */

import { isApprovalDuty, scopeCovers, scopeMayCover, toSeconds } from '@doorward/core'
import type {
  DecisionRequest,
  EpochMillis,
  Obligation,
  PolicyVersion,
  Resource,
  ShadowVerdict,
  SomeRequest,
  Verdict,
} from '@doorward/core'
import type { Classified } from './classify.ts'
import { deny, isDenial } from './denial.ts'
import type { Denial } from './denial.ts'
import type { Identified } from './identify.ts'
import type { DecisionPort } from './ports.ts'
import { missingScope } from './scopes.ts'

declare const authorized: unique symbol

export interface Authorized<Detail> {
  readonly [authorized]: true
  readonly classified: Classified<Detail>
  readonly policies: readonly string[]
  readonly obligations: readonly Obligation[]
  readonly policyVersion: PolicyVersion
  readonly shadow: ShadowVerdict | null
}

/** The call as a whole, and then each of its parts: all of them must be allowed. */
export function authorize<Detail>(
  classified: Classified<Detail>,
  decisions: DecisionPort,
  now: EpochMillis,
): Promise<Authorized<Detail> | Denial> {
  const { call } = classified
  const { parts } = call
  const authorizing = (asked: Asked) => authorizeOne(classified, asked, decisions, now)
  return parts === undefined ? authorizing(call) : authorizeAll([call, ...parts], authorizing)
}

async function authorizeAll<Detail>(
  [whole, ...parts]: readonly [Asked, ...Asked[]],
  authorizing: (asked: Asked) => Promise<Authorized<Detail> | Denial>,
): Promise<Authorized<Detail> | Denial> {
  const authorized = await authorizing(whole)
  if (isDenial(authorized)) return authorized
  const obligations = [...authorized.obligations]
  for (const part of parts) {
    const one = await authorizing(part)
    if (isDenial(one)) return one
    obligations.push(...one.obligations.filter(isApprovalDuty))
  }
  return { ...authorized, obligations }
}

async function authorizeOne<Detail>(
  classified: Classified<Detail>,
  asked: Asked,
  decisions: DecisionPort,
  now: EpochMillis,
): Promise<Authorized<Detail> | Denial> {
  const { identified, call } = classified
  const subject = {
    caller: identified.principal,
    action: asked.action,
    resource: asked.resource,
    rpcId: call.rpcId,
  }
  let verdict: Verdict
  try {
    verdict = await decisions.decide(decisionRequest(classified, asked, now))
  } catch (error) {
    return deny('policy_unavailable', `the decision engine failed: ${String(error)}`, subject)
  }
  if (verdict.effect === 'allow') {
    const { scope: narrowed } = identified.principal
    if (narrowed !== undefined && !scopeCovers(narrowed, asked.action, asked.resource))
      return deny('scope_insufficient', `the token is narrowed to ${narrowed.join(' ')}`, subject)
    const scope = identified.scopes === undefined ? null : missingScope(identified.scopes, asked)
    if (scope !== null) return deny('scope_insufficient', `expected the scopes ${scope}`, { ...subject, scope })
    const { policies, obligations, version, shadow = null } = verdict
    return { classified, policies, obligations, policyVersion: version, shadow } as Authorized<Detail>
  }
  return deny(denialCodes[verdict.reason], verdict.explanation, {
    ...subject,
    wouldAllow: verdict.wouldAllow,
    policies: verdict.policies,
    policyVersion: verdict.version,
    shadow: verdict.shadow ?? null,
  })
}

type Asked = Pick<DecisionRequest, 'action' | 'resource'>

const denialCodes = { none: 'policy_denied', forbid: 'policy_forbidden', error: 'policy_error' } as const

function decisionRequest<Detail>(
  { identified, call }: Classified<Detail>,
  { action, resource }: Asked,
  now: EpochMillis,
): DecisionRequest {
  return {
    principal: identified.principal,
    action,
    resource,
    context: {
      args: call.args,
      timeSeconds: toSeconds(now),
      remoteAddress: identified.inbound.connection.remoteAddress,
    },
  }
}

/**
 * Decides for one item of a list as a call of it would be decided, arguments unknown.
 * True when some call of it could be allowed; a failing engine hides the item.
 */
export async function couldCall(
  identified: Identified,
  call: { readonly action: DecisionRequest['action']; readonly resource: Resource },
  decisions: DecisionPort,
  now: EpochMillis,
): Promise<boolean> {
  try {
    const { action, resource } = call
    const { principal } = identified
    if (principal.scope !== undefined && !scopeCovers(principal.scope, action, resource)) return false
    const verdict = await decisions.list({ principal, action, resource, context: openContext(identified, now) })
    return verdict !== 'deny'
  } catch {
    return false
  }
}

/** As `couldCall`, for whatever of that kind the server has. */
export async function couldCallSome(
  identified: Identified,
  call: Pick<SomeRequest, 'action' | 'server' | 'kind'>,
  decisions: DecisionPort,
  now: EpochMillis,
): Promise<boolean> {
  try {
    const { principal } = identified
    if (principal.scope !== undefined && !scopeMayCover(principal.scope, call)) return false
    return (await decisions.some({ ...call, principal, context: openContext(identified, now) })) !== 'deny'
  } catch {
    return false
  }
}

function openContext({ inbound }: Identified, now: EpochMillis): DecisionRequest['context'] {
  return { args: undefined, timeSeconds: toSeconds(now), remoteAddress: inbound.connection.remoteAddress }
}
