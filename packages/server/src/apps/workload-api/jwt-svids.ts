/** JWT-SVIDs of the identities that are given out: asked for at the authority, looked at, kept for most of their life, and judged for others. */

import { epochClaim, isDoorwardError, isSeconds, jwtSvidKeysOf, member, verifyJwtSvid } from '@doorward/core'
import type { JwtSvid, Secret, TokenCode, TrustState } from '@doorward/core'
import { importP256 } from '@doorward/sdk'
import type { Runtime } from '@doorward/sdk'
import { latestTime } from '../credential-standing.ts'
import { liveJwtKeys } from './held-identities.ts'
import type { HeldIdentity, UsableIdentity } from './held-identities.ts'

export type JwtVerdict = { readonly ok: true; readonly svid: JwtSvid } | { readonly ok: false; readonly code: JwtCode }
type JwtCode = TokenCode | 'token_denied'

const MAX_KEPT = 256
const RENEW_AT = 0.5

interface Kept {
  readonly token: Secret
  /** On the monotonic clock. */
  readonly freshUntil: number
}

export class JwtSvids {
  readonly #runtime: Runtime
  readonly #kept = new Map<string, Kept>()

  constructor(runtime: Runtime) {
    this.#runtime = runtime
  }

  /** One for the audience, bound to the certificate that is current. Throws as `Identity.jwtSvid`, and `token_not_usable`. */
  async for(held: HeldIdentity, now: UsableIdentity, audience: string, signal: AbortSignal): Promise<Secret> {
    const key = `${now.svid.fingerprint} ${audience}`
    const kept = this.#kept.get(key)
    if (kept !== undefined && this.#runtime.monotonic() < kept.freshUntil && this.#holds(kept.token, held, audience))
      return kept.token
    const asked = this.#runtime.monotonic()
    const token = await held.identity.jwtSvid(audience, signal)
    const verdict = this.judge(token.reveal(), held, audience)
    if (!verdict.ok || verdict.svid.id.uri !== held.identity.id.uri) throw new UnusableJwtSvid(verdict)
    const { issuedAt, expiresAt } = verdict.svid
    const life = issuedAt === null ? 0 : (expiresAt - issuedAt) * 1000
    this.#kept.delete(key)
    const [oldest] = this.#kept.keys()
    if (this.#kept.size >= MAX_KEPT && oldest !== undefined) this.#kept.delete(oldest)
    this.#kept.set(key, { token, freshUntil: asked + life * RENEW_AT })
    return token
  }

  /** All of JWT-SVID §3 to §6, by the trust state of this identity, with the denials and the epoch that only we know. */
  judge(text: string, held: HeldIdentity, audience: string): JwtVerdict {
    const now = held.now()
    if (now.kind !== 'usable') return { ok: false, code: 'token_key_unknown' }
    const jwt = liveJwtKeys(now.trust)
    const verdict = verifyJwtSvid(text, {
      audience,
      trustDomain: now.trust.trustDomain,
      keys: jwtSvidKeysOf({ sequence: null, refreshHintSeconds: null, x509: [], jwt }, importP256),
      now: latestTime(held.identity, this.#runtime),
    })
    if (!verdict.ok) return { ok: false, code: verdict.code }
    return isWithdrawn(verdict.svid, now.trust) ? { ok: false, code: 'token_denied' } : verdict
  }

  #holds(token: Secret, held: HeldIdentity, audience: string): boolean {
    return this.judge(token.reveal(), held, audience).ok
  }
}

/** Of an earlier epoch, with a denied id, or issued before its subject was denied (RV-5, RV-6). */
function isWithdrawn({ id, issuedAt, claims }: JwtSvid, { epoch, denied }: TrustState): boolean {
  const [ofEpoch, jti] = [member(claims, epochClaim), member(claims, 'jti')]
  if (typeof ofEpoch !== 'number' || ofEpoch < epoch) return true
  if (typeof jti === 'string' && denied.tokens.includes(jti)) return true
  const deniedBefore = denied.identities.find((one) => one.id === id.uri)?.issuedBefore
  return deniedBefore !== undefined && (!isSeconds(issuedAt) || issuedAt < deniedBefore)
}

/** What the authority gave is not what was asked for. */
export class UnusableJwtSvid extends Error {
  constructor(verdict: JwtVerdict) {
    super(`the JWT-SVID that the authority gave cannot be used: ${verdict.ok ? 'another subject' : verdict.code}`)
  }
}

/** The authority gives none for this audience, now or later. */
export function isAudienceRefusal(error: unknown): boolean {
  return isDoorwardError(error, 'audience_unknown')
}
