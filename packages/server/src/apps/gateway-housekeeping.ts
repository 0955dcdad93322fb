/** What outlives a request, looked at again whenever trust changes, and now and then. */

import { toSeconds } from '@doorward/core'
import { connectionProblem, deny, sessionMustEnd } from '@doorward/enforcement'
import type { ApprovalDesk, Pipeline, SessionTable } from '@doorward/enforcement'
import { timerSleep } from '@doorward/sdk'
import type { StreamableHttp } from '../transports/streamable-http.ts'
import type { GatewayDoors } from './gateway-doors.ts'
import type { GatewayListeners } from './gateway-listeners.ts'
import { trustNow } from './gateway-status.ts'
import type { GatewayFacts } from './gateway-status.ts'

export interface Housekeeping extends GatewayFacts {
  readonly pipeline: Pipeline
  readonly sessions: SessionTable
  readonly listeners: GatewayListeners
  readonly endpoint: StreamableHttp
  readonly doors: GatewayDoors
  readonly approvals: Pick<ApprovalDesk, 'sweep'>
  readonly onProblem: (error: unknown) => void
}

const PAUSE_MILLISECONDS = 1000
/** Idle sessions need no closer look. */
const SWEEP_PAUSES = 5

/** Runs until the signal aborts; never rejects. */
export async function housekeep(parts: Housekeeping, signal: AbortSignal): Promise<void> {
  const { state, listeners, sessions, onProblem } = parts
  const { decisions } = parts.doors
  const ours = [...Object.values(listeners), ...(decisions === null ? [] : [decisions.listener])]
  const stops = [
    state.identity.onMaterial(() => {
      try {
        for (const listener of ours) listener.update(state.identity.material())
      } catch (error) {
        onProblem(error)
      }
    }),
    state.identity.trust.onApply(() => closeRefused(parts)),
  ]
  for (let pauses = 1; !signal.aborted; pauses++) {
    await timerSleep(PAUSE_MILLISECONDS, signal)
    // Waits for the record, which nothing else here does.
    void parts.approvals.sweep()
    if (pauses % SWEEP_PAUSES === 0) sessions.sweep()
    parts.endpoint.endExpired(toSeconds(state.identity.trust.now()))
    if (trustNow(parts) === 'stale') closeAll(parts)
  }
  for (const stop of stops) stop()
}

/** Ends answers, sessions and connections that the newest trust state no longer accepts (reference id RV-4). */
function closeRefused({ state, pipeline, sessions, listeners, doors }: Housekeeping): void {
  const view = state.identity.trust.current()
  if (view === null) return
  void pipeline.review()
  sessions.endWhere((session) => sessionMustEnd(session, view))
  for (const listener of [listeners.main, listeners.admin, doors.decisions?.listener])
    listener?.closeConnections((connection) => connectionProblem(connection, view, pipeline) !== null)
}

/** Nobody is let through any more: neither are streams that were opened before. */
function closeAll({ listeners, doors, pipeline }: Housekeeping): void {
  pipeline.open.endAll(deny('trust_stale', 'the trust state was not confirmed for too long'))
  listeners.main.closeConnections(() => true)
  listeners.admin.closeConnections(() => true)
  for (const listener of Object.values(doors.listeners)) listener.closeConnections(() => true)
}
