/**
 * Access tokens of our own front at the edge: judged by the token keys of the trust state that this process holds, so that
 * nobody is asked. Each issuer's tokens have one judge, which their `iss` names and their signature must bear out.
 */

import { readIssuerToken, toSeconds, verifyFrontToken } from '@doorward/core'
import type { IssuerTokens, TrustSource } from '@doorward/enforcement'
import { refused } from './issuer.ts'

export interface FrontPlace {
  /** `iss` of its tokens, exactly. */
  readonly publicUrl: string
  /** Issuer of the provider at which it signs people in: it vouches for nobody else's. */
  readonly provider: string
}

/** Codes of `verifyFrontToken`; `token_subject` for a person of another provider, `issuer_unavailable` before the first trust state. */
export function frontTokens(
  { publicUrl: issuer, provider }: FrontPlace,
  trust: Pick<TrustSource, 'current' | 'now'>,
): IssuerTokens {
  return {
    verify: async (text, audience) => {
      const view = trust.current()
      if (view === null) return refused('issuer_unavailable', 'no trust state has been received yet')
      const { tokenKeys: keys, state } = view
      const now = toSeconds(trust.now())
      const verified = verifyFrontToken(text, { issuer, audience, epoch: state.epoch, keys, now })
      if ('ok' in verified) return verified
      const { epoch, keyId, ...issued } = verified
      if (issued.user.issuer !== provider) return refused('token_subject', `expected a person of ${provider}`)
      return { ...issued, own: { keyId, epoch } }
    },
  }
}

/** Tokens that say they are of the front are judged by it alone, all others by `others`. */
export function withFront({ publicUrl }: FrontPlace, front: IssuerTokens, others: IssuerTokens): IssuerTokens {
  return {
    verify: (text, audience) => {
      const read = readIssuerToken(text)
      const isFronts = !('ok' in read) && read.claimedIssuer === publicUrl
      return (isFronts ? front : others).verify(text, audience)
    },
  }
}
