/** What the pipeline asks of whoever keeps approvals. */

import type { AskedApproval } from '../denial.ts'
import type { ApprovalAsk } from './approval-request.ts'

/** An approval that is used up; given back where its call does not leave after all. */
export interface ApprovalClaim {
  readonly id: string
  giveBack(): Promise<void>
}

export type ApprovalAnswer =
  /** Good for one call: whoever claims it first. */
  | ({ readonly kind: 'approved' } & AskedApproval)
  | ({ readonly kind: 'pending' | 'denied' } & AskedApproval)
  | { readonly kind: 'cooling'; readonly retryAfterSeconds: number }
  /** As many of this caller wait as may, or as many in all. */
  | { readonly kind: 'full' }
  | { readonly kind: 'unavailable'; readonly why: string }

/** What a call waits for. */
export interface WaitingFor extends AskedApproval {
  /** At most. */
  readonly waitMilliseconds: number
}

/** Is told that the wait begins; must not throw. */
export type OnWait = (waiting: WaitingFor) => void

/**
 * Approvals of single calls.
 *
 * `claim` uses up the approval of exactly this call, durably and for one caller only, however many ask at the same time;
 * null where there is none. `ask` has somebody asked, or joins those who wait for the same answer, and waits a while for it;
 * `whenGone` calls its listener when the caller waits no longer, and is asked after `onWait` was told. A rejection of either means that nothing can be kept,
 * which callers treat as deny.
 */
export interface Approvals {
  claim(ask: ApprovalAsk): Promise<ApprovalClaim | null>
  ask(ask: ApprovalAsk, whenGone: (listener: () => void) => void, onWait?: OnWait): Promise<ApprovalAnswer>
}
