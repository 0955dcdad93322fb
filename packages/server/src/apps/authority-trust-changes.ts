/** What of a trust state matters to those who do something only when it changes. */

import type { TrustView } from '@doorward/enforcement'

/** What revocation lists are made from, as far as trust states show it. */
export function listed({ keyGeneration, state: { denied } }: TrustView): string {
  return JSON.stringify([keyGeneration, denied.identities, denied.serials])
}

/** Runs where `what` says something else than the time before: most states only show new certificates. */
export function onOther(what: (view: TrustView) => string, run: () => void): (view: TrustView) => void {
  let last: string | null = null
  return (view) => {
    const now = what(view)
    if (now !== last) run()
    last = now
  }
}
