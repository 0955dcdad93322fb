/** What a token of ours says and whether it holds now, by the trust state that an identity has. Of a text that none of our keys has signed nothing is told. */

import {
  actorsOf,
  DoorwardError,
  epochClaim,
  heldLinks,
  signedClaims,
  toSeconds,
  userClaim,
  verifySubjectToken,
} from '@doorward/core'
import type { AccessTokenClaims, Secret } from '@doorward/core'
import type { Identity } from '@doorward/sdk'

export interface TokenView {
  readonly id: string
  readonly issuer: string
  readonly audience: string
  readonly presenter: string
  /** On whose behalf; the presenter where it acts for itself. */
  readonly subject: string
  readonly groups: readonly string[] | null
  /** Who stands between, nearest first. */
  readonly act: readonly string[]
  /** Null: whoever it is addressed to. */
  readonly mayAct: readonly string[] | null
  /** Null: whatever policy allows. */
  readonly scope: readonly string[] | null
  /** Tokens that were exchanged on the way, nearest first. */
  readonly chain: readonly { readonly id: string; readonly token: string; readonly serial: string }[]
  /** SHA-256 of the certificate that it is bound to, base64url. */
  readonly certificate: string
  readonly key: string
  readonly epoch: number
  readonly issuedAt: number
  readonly expiresAt: number
  /** Why it is not good now; null when it is. Its audience, its binding and denials are not asked. */
  readonly problem: { readonly code: string; readonly message: string } | null
}

type Viewing = Pick<Identity, 'authorityUrl' | 'trustDomain'> & {
  readonly trust: Pick<Identity['trust'], 'now'>
  readonly trustStore: Pick<Identity['trustStore'], 'view'>
}

/** Throws `trust_state_missing`, and `token_unknown` for a text that no key of the trust state has signed. */
export function viewToken(token: Secret, { authorityUrl, trustDomain, trust, trustStore }: Viewing): TokenView {
  const view = trustStore.view()
  if (view === null)
    throw new DoorwardError('trust_state_missing', 'there is no current trust state', {
      next: 'check that the authority runs',
    })
  const text = token.reveal()
  const signed = signedClaims(text, view.tokenKeys)
  if (signed === null || signed.claims === null)
    throw new DoorwardError('token_unknown', 'that is no access token of this trust domain', {
      expected: `a token signed by a key of ${trustDomain}`,
    })
  const expect = { issuer: authorityUrl, trustDomain, epoch: view.state.epoch }
  const verdict = verifySubjectToken(text, { expect, keys: view.tokenKeys, now: toSeconds(trust.now()) })
  const { claims, keyId } = signed
  return {
    ...factsOf(claims),
    key: keyId,
    problem: verdict.ok ? null : { code: verdict.code, message: verdict.message },
  }
}

function factsOf(claims: AccessTokenClaims): Omit<TokenView, 'key' | 'problem'> {
  const { jti, iss, aud, sub, client_id: presenter, act, may_act: mayAct, scope, cnf, iat, exp } = claims
  return {
    id: jti,
    issuer: iss,
    audience: aud,
    presenter,
    subject: sub,
    groups: claims[userClaim]?.groups ?? null,
    act: actorsOf(act).slice(1),
    mayAct: mayAct?.sub ?? null,
    scope: scope?.split(' ') ?? null,
    chain: heldLinks(claims).map(({ holder, jti: one, serial }) => ({ id: holder, token: one, serial })),
    certificate: cnf['x5t#S256'],
    epoch: claims[epochClaim],
    issuedAt: iat,
    expiresAt: exp,
  }
}
