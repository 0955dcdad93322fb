/** The time by which a sidecar asserts: its machine's, which nobody turns back while it runs. */

import { epochMillis } from '@doorward/core'
import type { Clock } from '@doorward/core'
import type { Runtime } from '@doorward/sdk'

/** What libraries let clocks differ, as docs/sidecar.md sets them up. */
const LEEWAY_MILLISECONDS = 5000

/**
 * As late as the clock has been, and what has passed since: what was asserted by then does not become new again. Whoever goes by the
 * clock of the machine believes nothing while that is behind: `onAhead` is told so once each time, with the milliseconds.
 */
export function timeThatGoesOn(
  { wall, monotonic }: Pick<Runtime, 'wall' | 'monotonic'>,
  onAhead: (milliseconds: number) => void,
): Clock {
  let latest = { time: Number(wall()), at: monotonic() }
  let told = false
  return () => {
    const [at, machine] = [monotonic(), wall()]
    const time = Math.max(machine, latest.time + at - latest.at)
    latest = { time, at }
    const ahead = time - machine
    if (ahead <= LEEWAY_MILLISECONDS) told = false
    else if (!told) {
      told = true
      onAhead(ahead)
    }
    return epochMillis(time)
  }
}
