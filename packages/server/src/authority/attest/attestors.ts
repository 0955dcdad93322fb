/** The attestors of one authority, by kind of evidence: the list is closed. */

import type { AuthorityContext } from '../context.ts'
import type { Attestors } from './attestor.ts'
import { boundKeyAttestor } from './bound-key.ts'
import { joinTokenAttestor } from './join-token.ts'
import { oidcAttestor } from './oidc.ts'
import { x509PopAttestor } from './x509-pop.ts'

export function attestorsOf(context: AuthorityContext): Attestors {
  const { anchors, issuers } = context.vouchers
  return {
    join_token: joinTokenAttestor(context),
    bound_key: boundKeyAttestor(context),
    x509_pop: x509PopAttestor(context, anchors),
    oidc: oidcAttestor(context, issuers),
  }
}
