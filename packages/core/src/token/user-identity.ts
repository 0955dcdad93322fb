/**
 * The identity of a person who has signed in: what the authority makes of an ID token, for one workload and one key of its
 * machine. It is no access token: only the token endpoint takes it, with a proof by that key (reference ids JW-8, DX-2).
 */

import { userName } from '../identity/principal.ts'
import { readSpiffeId } from '../identity/spiffe-id.ts'
import { exactObject, isCount, isSeconds, isText } from '../identity/strict-members.ts'
import type { JsonValue } from '../json-value.ts'
import { scanJson } from '../json/scan.ts'
import type { EpochSeconds } from '../time.ts'
import { epochClaim, tokenLimits, userClaim } from './claims.ts'
import type { UserClaim } from './claims.ts'
import { openCompactJws, refuse } from './compact-jws.ts'
import type { TokenRefusal } from './compact-jws.ts'
import type { TokenKeySet } from './key-set.ts'
import { readUserClaim } from './read-claims.ts'
import { signCompactJws, unmintable } from './sign-compact-jws.ts'
import type { TokenSigner } from './sign-compact-jws.ts'

const TYPE = 'doorward-user+jwt'
/** It lives at most so long. */
export const userIdentitySeconds = 3600

export interface UserIdentityClaims {
  readonly iss: string
  /** The authority itself: nobody else takes it. */
  readonly aud: string
  /** `<issuer>#<subject>`. */
  readonly sub: string
  readonly iat: EpochSeconds
  readonly exp: EpochSeconds
  readonly jti: string
  /** SPIFFE ID of the workload that may act for the person. */
  readonly client_id: string
  /** RFC 7638 thumbprint of the key that proves every use (RFC 9449 §6.1). */
  readonly cnf: { readonly jkt: string }
  readonly [epochClaim]: number
  readonly [userClaim]: UserClaim
}

export interface UserIdentityCheck {
  /** Issuer and audience at once. */
  readonly issuer: string
  /** SPIFFE ID of the caller. */
  readonly presenter: string
  readonly epoch: number
  readonly keys: TokenKeySet
  readonly now: EpochSeconds
}

export interface VerifiedUserIdentity {
  readonly ok: true
  readonly claims: UserIdentityClaims
  /** `kid` of the key that signed it. */
  readonly keyId: string
}

const MEMBERS = ['iss', 'aud', 'sub', 'iat', 'exp', 'jti', 'client_id', 'cnf', epochClaim, userClaim]
const LIMITS = { maxBytes: tokenLimits.bytes, maxDepth: 5, maxKeys: 64 }
const MAX_TEXT = 2048
const THUMBPRINT = /^[A-Za-z0-9_-]{43}$/

/** Throws `token_claims_invalid` for claims of the wrong shape, a life above an hour or a token above 4 KiB, or what custody throws. */
export async function mintUserIdentity(claims: UserIdentityClaims, signer: TokenSigner): Promise<string> {
  const plain = JSON.parse(JSON.stringify(claims)) as JsonValue
  const read = readUserIdentity(plain)
  if (typeof read === 'string') throw unmintable(read)
  return signCompactJws(TYPE, plain, signer)
}

/**
 * Verifies grammar, type, key and signature, then claims. Never throws; codes are `TokenCode`.
 * Not checked: denials of the person, the workload and the key that signed it, and the proof by the key that it is bound to.
 */
export function verifyUserIdentity(text: string, check: UserIdentityCheck): VerifiedUserIdentity | TokenRefusal {
  const signed = openCompactJws(text, { typ: TYPE, keys: check.keys })
  if ('ok' in signed) return signed
  const payload = scanJson(signed.payload, LIMITS)
  if (!payload.ok) return refuse('token_claims', `the payload is not strict JSON: ${payload.code}`)
  const claims = readUserIdentity(payload.value)
  if (typeof claims === 'string') return refuse('token_claims', claims)
  return judge(claims, check) ?? { ok: true, claims, keyId: signed.keyId }
}

function judge(claims: UserIdentityClaims, { issuer, presenter, epoch, now }: UserIdentityCheck): TokenRefusal | null {
  if (claims.iss !== issuer) return refuse('token_issuer', `expected issuer ${issuer}`)
  if (claims.aud !== issuer) return refuse('token_audience', `expected audience ${issuer}`)
  if (now >= claims.exp) return refuse('token_expired', `exp was ${claims.exp}`)
  if (claims.client_id !== presenter) return refuse('token_binding', `expected a sign-in by ${presenter}`)
  return claims[epochClaim] >= epoch ? null : refuse('token_epoch', `expected epoch ${epoch} or later`)
}

/** The claims, or what is wrong with their shape. */
function readUserIdentity(value: JsonValue): UserIdentityClaims | string {
  const claims = exactObject(value, MEMBERS)
  if (claims === null) return `expected exactly the claims ${MEMBERS.join(', ')}`
  const { iss, aud, sub, iat, exp, jti, client_id } = claims as Readonly<Record<string, JsonValue>>
  if (![iss, aud, sub].every((one) => isText(one, MAX_TEXT))) return 'expected iss, aud and sub to be texts'
  if (!isSeconds(iat) || !isSeconds(exp) || exp <= iat || exp - iat > userIdentitySeconds)
    return `expected exp within ${userIdentitySeconds} s after iat`
  if (!isText(jti, tokenLimits.idLength)) return 'expected jti to be a short text'
  if (!isText(client_id, MAX_TEXT) || 'problem' in readSpiffeId(client_id))
    return 'expected client_id to be a SPIFFE ID'
  const jkt = exactObject(claims['cnf'], ['jkt'])?.['jkt']
  if (typeof jkt !== 'string' || !THUMBPRINT.test(jkt)) return 'expected cnf to hold jkt alone'
  const epoch = claims[epochClaim]
  if (!isCount(epoch)) return 'expected the epoch to be a whole number'
  const user = readUserClaim(claims[userClaim])
  if (user === null || sub !== userName(user)) return 'expected the user that sub names'
  const texts = { iss, aud, sub } as Pick<UserIdentityClaims, 'iss' | 'aud' | 'sub'>
  return { ...texts, iat, exp, jti, client_id, cnf: { jkt }, [epochClaim]: epoch, [userClaim]: user }
}
