/** What of the published trust state judges tokens that are shown to the authority: its keys, and all that is denied. */

import { keySetOf } from '@doorward/core'
import type { ImportP256, LinkDenials, TokenKeySet, TrustState } from '@doorward/core'

export interface PublishedKeys extends LinkDenials {
  /** Keys of all authorities, without those that are denied. */
  readonly tokenKeys: TokenKeySet
}

export function publishedKeys({ denied, tokenKeys, workloads }: TrustState, importP256: ImportP256): PublishedKeys {
  const live = tokenKeys.filter(({ kid }) => !denied.authorities.includes(kid))
  return {
    tokenKeys: keySetOf(live, importP256),
    deniedIdentities: new Map(denied.identities.map(({ id, issuedBefore }) => [id, issuedBefore])),
    deniedSerials: new Set(denied.serials),
    deniedTokens: new Set(denied.tokens),
    deniedAuthorities: new Set(denied.authorities),
    // Asked a few times in an exchange, and states change with every certificate: no index is made of it.
    isRegistered: (id) => workloads.some((workload) => workload.id === id),
  }
}
