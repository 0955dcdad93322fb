/** Stage 5: has a human approved exactly this call, where policy asks for it. */

import { approvalAsk } from './approvals/approval-request.ts'
import type { ApprovalAnswer, ApprovalClaim, Approvals, OnWait } from './approvals/ports.ts'
import type { Authorized } from './authorize.ts'
import { deny, isDenial } from './denial.ts'
import type { AskedApproval, Denial } from './denial.ts'

/** Calls its listener when the caller waits no longer for an answer. */
export type WhenGone = (listener: () => void) => void

export interface ApprovalParts<Detail> {
  /** Null where nobody can be asked: then what needs an approval is refused. */
  readonly approvals: Approvals | null
  readonly whenGone: WhenGone
  readonly onWait: OnWait
  /** Decides the call anew, after somebody was waited for. */
  readonly again: () => Promise<Authorized<Detail> | Denial>
}

export interface Approved<Detail> {
  /** The decision by which the call goes. */
  readonly authorized: Authorized<Detail>
  /** Null where it needs no approval. */
  readonly claim: ApprovalClaim | null
}

/** What needs an approval goes on with one that is used up by it, or not at all. */
export async function approve<Detail>(
  authorized: Authorized<Detail>,
  parts: ApprovalParts<Detail>,
): Promise<Approved<Detail> | Denial> {
  const ask = approvalAsk(authorized)
  if (ask === null) return { authorized, claim: null }
  const { approvals, onWait, again } = parts
  if (approvals === null) return refused(authorized, { kind: 'unavailable', why: 'nobody approves calls here' })
  try {
    const claim = await approvals.claim(ask)
    if (claim !== null) return { authorized, claim }
    let gone = false
    const whenGone: WhenGone = (listener) =>
      parts.whenGone(() => {
        gone = true
        listener()
      })
    const answer = await approvals.ask(ask, whenGone, onWait)
    // What was approved is kept for a call that somebody waits for.
    if (gone && 'id' in answer) return refused(authorized, { ...answer, kind: 'gone' })
    if (answer.kind !== 'approved') return refused(authorized, answer)
    // Somebody was waited for: policy, roles and time are looked at as they are now.
    const now = await again()
    return isDenial(now) ? now : await claimed(now, approvals)
  } catch (error) {
    return refused(authorized, { kind: 'unavailable', why: `approvals cannot be kept: ${String(error)}` })
  }
}

/** What was approved is good for one of those who waited for it. */
async function claimed<Detail>(
  authorized: Authorized<Detail>,
  approvals: Approvals,
): Promise<Approved<Detail> | Denial> {
  const ask = approvalAsk(authorized)
  if (ask === null) return { authorized, claim: null }
  const claim = await approvals.claim(ask)
  return claim === null ? refused(authorized, { kind: 'used' }) : { authorized, claim }
}

type Refusing =
  | Exclude<ApprovalAnswer, { readonly kind: 'approved' }>
  | { readonly kind: 'used' }
  /** The caller waits no longer. */
  | ({ readonly kind: 'gone' } & AskedApproval)

const codes = {
  pending: 'approval_pending',
  used: 'approval_pending',
  gone: 'approval_pending',
  denied: 'approval_denied',
  cooling: 'approval_cooling',
  full: 'approval_limit',
  unavailable: 'approval_unavailable',
} as const

function refused({ classified, policies, policyVersion }: Authorized<unknown>, answer: Refusing): Denial {
  const { identified, call } = classified
  const { action, resource, rpcId } = call
  return deny(codes[answer.kind], explained(answer), {
    caller: identified.principal,
    action,
    resource,
    rpcId,
    policies,
    policyVersion,
    approval: 'id' in answer ? { id: answer.id, by: answer.by, expires: answer.expires } : null,
    retryAfterSeconds: answer.kind === 'cooling' ? answer.retryAfterSeconds : null,
  })
}

function explained(answer: Refusing): string {
  switch (answer.kind) {
    case 'pending':
      return `the request ${answer.id} waits for ${answer.by.join(' and ')}`
    case 'gone':
      return `the caller waits no longer, or has cancelled the call; the request is ${answer.id}`
    case 'used':
      return 'the approval was used by another call, or is not good any more'
    case 'denied':
      return `the request ${answer.id} was denied`
    case 'cooling':
      return 'approvers have denied this caller the same again and again'
    case 'full':
      return 'as many requests wait as may'
    case 'unavailable':
      return answer.why
  }
}
