/** Up to when an identity is denied now, and not only as the last trust state of this process says. */

import type { AuthorityStore } from './ports.ts'

export interface KnownDenials {
  readonly store: { readonly revocations: Pick<AuthorityStore['revocations'], 'issuedBefore'> }
  /** As published here; 0 for nobody. */
  readonly deniedBefore: (id: string) => number
}

/**
 * The moment before which what was issued to it is denied; 0 for nobody. Another authority may have denied what no state here
 * shows yet: whatever is dated before this is asked is covered by every denial that comes after the answer.
 */
export async function newestDenial({ store, deniedBefore }: KnownDenials, id: string): Promise<number> {
  return Math.max(deniedBefore(id), (await store.revocations.issuedBefore(id)) ?? 0)
}
