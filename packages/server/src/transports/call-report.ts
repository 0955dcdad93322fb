/** One report of a call that has ended: for the log, counters and traces. */

import type { ActionGroup } from '@doorward/core'
import type { Exchange, Outcome, Permit, Refusal, StageTimes, CallTrace } from '@doorward/enforcement'

/** One line of the log. */
export interface CallReport {
  readonly decision: string | null
  readonly code: string
  readonly caller: string | null
  readonly server: string | null
  readonly action: string | null
  readonly subject: string | null
  readonly outcome: Outcome | null
  /** Of the action; null where the call was not understood. */
  readonly group: ActionGroup | null
  readonly times: StageTimes
  /** `answer`: the answer was an event stream; `session`: what was asked for is the session's own, which lasts. */
  readonly stream: 'none' | 'answer' | 'session'
  /** HTTP method of the request, and status of the answer. */
  readonly method: string
  readonly http: number
  readonly trace: CallTrace | null
  /** Of a trace that is kept; null for every other call. */
  readonly traceId: string | null
}

/** Of a call that was allowed, and has ended. */
export function allowedReport(
  { admitted, entry }: Permit,
  outcome: Outcome,
  ended: Pick<CallReport, 'times' | 'trace' | 'method' | 'stream'>,
): CallReport {
  const { call, identified } = admitted.authorized.classified
  return {
    ...ended,
    decision: entry.toString(),
    code: outcome.code ?? 'allowed',
    caller: identified.principal.presenter.uri,
    server: call.resource.server,
    action: call.action.name,
    subject: call.resource.name,
    outcome,
    group: call.action.group,
    http: outcome.http,
    traceId: keptId(ended.trace),
  }
}

/** Of a call that was refused, and answered so. */
export function refusedReport(
  { head, response }: Exchange,
  { denial, entry }: Refusal,
  refused: Pick<CallReport, 'times' | 'trace'> & { readonly server: string },
): CallReport {
  const { caller } = denial
  return {
    ...refused,
    decision: typeof entry === 'string' ? null : entry.toString(),
    code: denial.code,
    caller: caller === null ? null : 'presenter' in caller ? caller.presenter.uri : caller.id,
    action: denial.action?.name ?? null,
    subject: denial.resource?.name ?? null,
    outcome: null,
    group: denial.action?.group ?? null,
    stream: 'none',
    method: head.method,
    http: response.statusCode,
    traceId: keptId(refused.trace),
  }
}

function keptId(trace: CallTrace | null): string | null {
  return trace?.sampled === true ? trace.traceId : null
}
