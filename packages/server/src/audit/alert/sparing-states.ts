/**
 * The cursor of a webhook passes every entry of the log and few of them are findings: it is made durable when something was
 * delivered or is wrong, and every ten seconds otherwise. What is read again after a crash was no finding.
 */

import type { ExportState, ExportStates } from '../export/state.ts'

const KEEP_MILLISECONDS = 10_000

export function sparingStates(
  states: ExportStates,
  parts: {
    /** Where a webhook without a state begins. */
    readonly beginning: ExportState
    readonly delivered: () => number
    readonly monotonic: () => number
  },
): ExportStates {
  const { beginning, delivered, monotonic } = parts
  let kept: { readonly state: ExportState; readonly delivered: number; readonly at: number } | null = null
  return {
    async read() {
      const state = await states.read()
      if (state !== null) return state
      await states.write(beginning)
      return beginning
    },
    async write(state) {
      const now = { state, delivered: delivered(), at: monotonic() }
      if (kept !== null && kept.delivered === now.delivered && now.at - kept.at < KEEP_MILLISECONDS)
        if (sameButNext(kept.state, state)) return
      await states.write(state)
      kept = now
    },
  }
}

function sameButNext(a: ExportState, b: ExportState): boolean {
  return (
    a.state === b.state &&
    a.lagging === b.lagging &&
    a.rejected === b.rejected &&
    a.error?.at === b.error?.at &&
    a.error?.code === b.error?.code
  )
}
