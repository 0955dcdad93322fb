/** Connections that a busy server did not take. */

import { isDoorwardError } from '@doorward/core'
import { backoffMilliseconds, systemRuntime } from './runtime.ts'
import type { Runtime } from './runtime.ts'

const RETRIES = 4
/** In all 1.9 to 3.8 s: a server that sheds load takes connections again 0.4 s after the load has gone. */
const BACKOFF = { first: 250, cap: 2000 }

/**
 * What `dial` resolves with. A server that has too much to do, or too many handshakes under way, closes new connections before
 * it has read anything (`connection_lost`). Nothing was sent yet, so a little later is as good. Throws what the last try throws; none begins once the signal is aborted.
 */
export async function redialled<T>(
  dial: () => Promise<T>,
  { sleep, chance }: Pick<Runtime, 'sleep' | 'chance'> = systemRuntime,
  signal?: AbortSignal,
): Promise<T> {
  for (let retries = 0; ; retries++) {
    try {
      return await dial()
    } catch (error) {
      if (!isDoorwardError(error, 'connection_lost') || retries >= RETRIES) throw error
      await sleep(backoffMilliseconds(retries, BACKOFF, chance()), signal)
      if (signal?.aborted === true) throw error
    }
  }
}
