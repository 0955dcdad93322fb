/** The trust-state stream of one subscriber: whoever is slow skips to the newest state, and never holds up the others. */

import type { Authority } from '../authority/authority.ts'

/** The newest state at once, then states and heartbeats as they come, until the signal aborts. Null when there is no room. */
export function followTrust(authority: Authority, id: string): ((signal: AbortSignal) => AsyncIterable<string>) | null {
  let state: string | null = authority.trustState().text
  let heartbeat: string | null = null
  let wake: () => void = () => undefined
  const leave = authority.audience.subscribe(id, (line) => {
    // A heartbeat speaks of the newest state: what came before it is not needed any more.
    if (line.kind === 'state') {
      state = line.text
      heartbeat = null
    } else heartbeat = line.text
    wake()
  })
  if (leave === null) return null
  return async function* lines(signal) {
    signal.addEventListener('abort', () => wake())
    try {
      while (!signal.aborted) {
        const next = state ?? heartbeat
        if (state !== null) state = null
        else heartbeat = null
        if (next !== null) yield next
        else await new Promise<void>((resolve) => (wake = resolve))
      }
    } finally {
      leave()
    }
  }
}
