/** ID tokens of a sign-in: the same keys and claims as access tokens, judged as OpenID Connect Core §3.1.3.7 has it. */

import { judgeIdToken, mapIssuerClaims, readIdToken } from '@doorward/core'
import type { EpochSeconds, IssuerClaims } from '@doorward/core'
import type { IssuedTokenRefusal } from '@doorward/enforcement'
import type { Issuer } from './issuer.ts'
import { openedBy } from './verified-issuers.ts'

export interface IdTokenUse {
  /** Of the sign-in. */
  readonly clientId: string
  readonly nonce: string
  /** As for device codes. */
  readonly mayLackNonce: boolean
  readonly maxAgeSeconds: number | null
  readonly now: EpochSeconds
}

/** It is shown at once, whatever its provider lets it live. */
const maxLifetimeSeconds = 86_400

/** What an ID token of this issuer says, made for this client and this nonce just now. Never throws for what is in the token. */
export async function verifyIdToken(
  issuer: Issuer,
  text: string,
  use: IdTokenUse,
): Promise<IssuerClaims | IssuedTokenRefusal> {
  const token = readIdToken(text)
  if ('ok' in token) return token
  const opened = await openedBy(issuer, token)
  if ('ok' in opened) return opened
  const { issuer: iss, otherAudiences } = issuer
  const problem = judgeIdToken(opened.claims, { issuer: iss, otherAudiences, maxLifetimeSeconds, ...use })
  return problem ?? mapIssuerClaims(opened.claims, issuer.claims)
}
