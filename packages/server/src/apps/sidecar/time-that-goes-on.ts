/** The time by which a sidecar asserts: its machine's, which nobody turns back while it runs. */

import { epochMillis } from '@doorward/core'
import type { Clock } from '@doorward/core'
import type { Runtime } from '@doorward/sdk'

/** As late as the clock has been, and what has passed since: what was asserted by then does not become new again. */
export function timeThatGoesOn({ wall, monotonic }: Pick<Runtime, 'wall' | 'monotonic'>): Clock {
  let latest = { time: Number(wall()), at: monotonic() }
  return () => {
    const at = monotonic()
    const time = Math.max(wall(), latest.time + at - latest.at)
    latest = { time, at }
    return epochMillis(time)
  }
}
