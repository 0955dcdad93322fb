/** The trust-state stream of one subscriber: whoever is slow skips to the newest state, and never holds up the others. */

import type { TrustScope } from '@doorward/core'
import type { Authority } from '../authority/authority.ts'
import type { Follower } from '../authority/ceremony-audience.ts'

/** What a stream is fed from. */
export type TrustFeed = Pick<Authority, 'trustState' | 'heartbeat' | 'audience'>

/** The newest line of each kind that has not been sent yet. */
interface Pending {
  state: string | null
  heartbeat: string | null
  wake: () => void
}

/**
 * The newest state at once and a heartbeat right after it, because a state says only when it was signed; then states and
 * heartbeats as they come, until the signal aborts. At most one of each waits. Null when there is no room.
 */
export function followTrust(
  feed: TrustFeed,
  follower: Follower,
): ((signal: AbortSignal) => AsyncIterable<string>) | null {
  const { scope } = follower
  const published = feed.trustState()
  const { text } = scope === 'full' ? published : published.callers
  const pending: Pending = { state: text, heartbeat: null, wake: () => undefined }
  const leave = feed.audience.subscribe(follower, (line) => {
    // A heartbeat speaks of the newest state: what came before it is not needed any more.
    if (line.kind === 'state') {
      pending.state = line.text
      pending.heartbeat = null
    } else pending.heartbeat = line.text
    pending.wake()
  })
  if (leave === null) return null
  return async function* lines(signal) {
    signal.addEventListener('abort', () => pending.wake(), { once: true })
    let confirmed = false
    try {
      while (!signal.aborted) {
        const next = take(pending)
        if (next !== null) yield next
        else if (!confirmed) confirmed = await confirm(feed, scope, pending)
        else await new Promise<void>((resolve) => (pending.wake = resolve))
      }
    } finally {
      leave()
    }
  }
}

function take(pending: Pending): string | null {
  const { state, heartbeat } = pending
  if (state !== null) pending.state = null
  else pending.heartbeat = null
  return state ?? heartbeat
}

/** A state that arrives meanwhile is newer than this heartbeat, a heartbeat that arrives is as good. */
async function confirm(feed: TrustFeed, scope: TrustScope, pending: Pending): Promise<true> {
  // What fails here fails for the periodic heartbeat too, which tells the operator.
  const heartbeat = await feed.heartbeat(scope).catch(() => null)
  if (pending.state === null) pending.heartbeat ??= heartbeat
  return true
}
