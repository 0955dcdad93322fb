/** What is held against the tokens that a delegated one was made from: denying any link ends all that hangs on it (RV-5, DX-6). */

import type { HeldLink } from './principal.ts'

/** What of a trust state denies links, indexed. */
export interface LinkDenials {
  /** Id → what was issued before is denied. */
  readonly deniedIdentities: ReadonlyMap<string, number>
  readonly deniedSerials: ReadonlySet<string>
  readonly deniedTokens: ReadonlySet<string>
  /** Key ids of signing authorities and token keys. */
  readonly deniedAuthorities: ReadonlySet<string>
  readonly isRegistered: (id: string) => boolean
}

/** What is held against a holder or its token, naming it; null when nothing. A holder's denial is dated by the second, as its tokens are. */
export function linkWithdrawal(links: readonly HeldLink[], denials: LinkDenials): string | null {
  for (const { holder, jti, iat, serial } of links) {
    if (denials.deniedTokens.has(jti)) return `token ${jti} of ${holder} is denied`
    if (denials.deniedSerials.has(serial)) return `serial ${serial} of ${holder} is denied`
    const issuedBefore = denials.deniedIdentities.get(holder)
    if (issuedBefore !== undefined && iat < issuedBefore)
      return `what ${holder} was given before ${issuedBefore} is denied`
    if (!denials.isRegistered(holder)) return `${holder} is not registered any more`
  }
  return null
}

/** What is held against the keys that have signed the links; null when nothing. */
export function linkKeyWithdrawal(
  links: readonly HeldLink[],
  { deniedAuthorities }: Pick<LinkDenials, 'deniedAuthorities'>,
): string | null {
  for (const { holder, kid, anchor } of links) {
    if (deniedAuthorities.has(kid)) return `token key ${kid} of a token of ${holder} is denied`
    if (deniedAuthorities.has(anchor)) return `signing authority ${anchor} of ${holder} is denied`
  }
  return null
}
