/** A single-use token that the operator handed over (reference id BS-3): it names one identity, and works once. */

import { toBase64url, utf8 } from '@doorward/core'
import type { Secret } from '@doorward/core'
import { nowSeconds } from '../context.ts'
import type { AuthorityContext } from '../context.ts'
import { unattested } from './attestor.ts'
import type { Attestor } from './attestor.ts'
import { isRefused, rulesOf } from './rules-of.ts'

/** Only the hash is kept: the store tells nobody a token. */
export function joinTokenHash({ sha256 }: Pick<AuthorityContext, 'sha256'>, token: Secret): string {
  return toBase64url(sha256(utf8(token.reveal())))
}

/** Whether it is still unused is decided when it is consumed: here it is only told early. */
export function joinTokenAttestor(context: AuthorityContext): Attestor<'join_token'> {
  const { joins } = context.store
  return {
    attest: async ({ token }, applicant) => {
      const hash = joinTokenHash(context, token)
      const known = await joins.findToken(hash)
      if (known === null) return unattested('the token is unknown')
      const { id, usedAt, expiresAt } = known
      if (usedAt !== null) return unattested(`the token for ${id} was used at ${usedAt}`)
      if (expiresAt <= nowSeconds(context)) return unattested(`the token for ${id} ended at ${expiresAt}`)
      if (applicant.id !== null && applicant.id !== id)
        return unattested(`the token is for ${id}, not for ${applicant.id}`)
      const rules = await rulesOf(context.store, id, 'join_token')
      if (isRefused(rules)) return rules
      const proven = { token_ends: String(expiresAt) }
      return { id, kind: 'join_token', proven, consumes: { kind: 'join_token', hash } }
    },
  }
}
