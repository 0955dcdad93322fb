/**
 * Access tokens of the front: what our own authorization server gives to OAuth clients of people, for a resource of the edge
 * (RFC 9068, RFC 8707, RFC 9449 §6). They are signed by the token keys of the trust state, like tokens of workloads, and
 * are of another kind: the members of the two differ and both are closed, so neither verifier takes the other's (reference id JW-8).
 */

import { utf8 } from '../bytes.ts'
import { userName } from '../identity/principal.ts'
import { distinct, exactObject, isCount, isSeconds, isText, readList } from '../identity/strict-members.ts'
import type { JsonObject, JsonValue } from '../json-value.ts'
import { scanJson } from '../json/scan.ts'
import type { EpochSeconds } from '../time.ts'
import { epochClaim, tokenLimits, userClaim } from './claims.ts'
import type { UserClaim } from './claims.ts'
import { openCompactJws, refuse } from './compact-jws.ts'
import type { TokenRefusal } from './compact-jws.ts'
import type { IssuerClaims } from './issuer-claims.ts'
import type { TokenKeySet } from './key-set.ts'
import { readUserClaim } from './read-claims.ts'
import { signCompactJws, unmintable } from './sign-compact-jws.ts'
import type { TokenSigner } from './sign-compact-jws.ts'

/** Every member but `scope`, `cnf`, `acr`, `amr` and `auth_time` is required; no other one is accepted. */
export interface FrontTokenClaims {
  /** `authority.front.public_url`. */
  readonly iss: string
  /** The resource: exactly one. */
  readonly aud: string
  /** `<issuer>#<subject>`. */
  readonly sub: string
  /** As configured, or the URL of the client's metadata. */
  readonly client_id: string
  readonly iat: EpochSeconds
  /** At most 300 s after `iat`. */
  readonly exp: EpochSeconds
  readonly jti: string
  /** Distinct scopes between single blanks; absent for none. */
  readonly scope?: string
  /** RFC 7638 thumbprint of the client's key; absent for a bearer token. */
  readonly cnf?: { readonly jkt: string }
  /** How the person signed in at the provider, as far as it says (RFC 9068 §2.2.1). */
  readonly acr?: string
  readonly amr?: readonly string[]
  readonly auth_time?: EpochSeconds
  readonly [epochClaim]: number
  readonly [userClaim]: UserClaim
}

export interface FrontTokenCheck {
  readonly issuer: string
  /** The resource that is called. */
  readonly audience: string
  /** The current trust epoch; tokens of an earlier one are refused (RV-6). */
  readonly epoch: number
  /** Keys of the trust state that are not denied. */
  readonly keys: TokenKeySet
  readonly now: EpochSeconds
  /** For `exp` and `iat`; 30 by default. */
  readonly leewaySeconds?: number
}

export interface VerifiedFrontToken extends IssuerClaims {
  readonly clientId: string
  readonly id: string
  readonly epoch: number
  /** `kid` of the key that signed it. */
  readonly keyId: string
}

const REQUIRED = ['iss', 'aud', 'sub', 'client_id', 'iat', 'exp', 'jti', epochClaim, userClaim]
const OPTIONAL = ['scope', 'cnf', 'acr', 'amr', 'auth_time']
const LIMITS = { maxBytes: tokenLimits.bytes, maxDepth: 5, maxKeys: 64 }
/** In base64url, with dots and a key id of any length. */
const HEADER_AND_SIGNATURE = 352
const MAX_TEXT = 2048
const MAX_WORD = 128
const MAX_SCOPES = 32
const MAX_METHODS = 16
const defaultLeewaySeconds = 30
const THUMBPRINT = /^[A-Za-z0-9_-]{43}$/
/** RFC 6749 §3.3. */
const SCOPE = /^[\x21\x23-\x5b\x5d-\x7e]{1,128}$/

/** Throws `token_claims_invalid` for claims of the wrong shape, a life above 300 s or a token above 4 KiB, or what custody throws. */
export async function mintFrontToken(claims: FrontTokenClaims, signer: TokenSigner): Promise<string> {
  const plain = JSON.parse(JSON.stringify(claims)) as JsonValue
  const read = readFrontToken(plain)
  if (typeof read === 'string') throw unmintable(read)
  const lifetime = claims.exp - claims.iat
  if (lifetime <= 0 || lifetime > tokenLimits.lifetimeSeconds) throw unmintable(`a lifetime of ${lifetime} s`)
  return signCompactJws('at+jwt', plain, signer)
}

/** Whether a token of these claims, signed by a key of ours, is within 4 KiB. */
export function frontTokenFits(claims: FrontTokenClaims): boolean {
  return Math.ceil((utf8(JSON.stringify(claims)).length * 4) / 3) + HEADER_AND_SIGNATURE <= tokenLimits.bytes
}

/**
 * Verifies grammar, type, key and ES256 signature, then claims: issuer, this resource alone, time, life and epoch. Never
 * throws; codes are `TokenCode`.
 *
 * Not checked: denials of the person, the client and the token, possession of the key that it is bound to, and whether a
 * token that is bound to none is accepted; the caller does all of it.
 */
export function verifyFrontToken(text: string, check: FrontTokenCheck): VerifiedFrontToken | TokenRefusal {
  const signed = openCompactJws(text, { typ: 'at+jwt', keys: check.keys })
  if ('ok' in signed) return signed
  const payload = scanJson(signed.payload, LIMITS)
  if (!payload.ok) return refuse('token_claims', `the payload is not strict JSON: ${payload.code}`)
  const claims = readFrontToken(payload.value)
  if (typeof claims === 'string') return refuse('token_claims', claims)
  return judge(claims, check) ?? factsOf(claims, signed.keyId)
}

function judge(claims: FrontTokenClaims, check: FrontTokenCheck): TokenRefusal | null {
  const { issuer, audience, epoch, now, leewaySeconds: leeway = defaultLeewaySeconds } = check
  const { iss, aud, iat, exp } = claims
  if (iss !== issuer) return refuse('token_issuer', `expected issuer ${issuer}`)
  if (aud !== audience) return refuse('token_audience', `expected audience ${audience}`)
  const lifetime = exp - iat
  if (lifetime <= 0 || lifetime > tokenLimits.lifetimeSeconds)
    return refuse('token_lifetime', `expected exp within ${tokenLimits.lifetimeSeconds} s after iat`)
  if (now >= exp + leeway) return refuse('token_expired', `exp was ${exp}`)
  if (now < iat - leeway) return refuse('token_not_yet_valid', `iat is ${iat}`)
  return claims[epochClaim] >= epoch ? null : refuse('token_epoch', `expected epoch ${epoch} or later`)
}

function factsOf(claims: FrontTokenClaims, keyId: string): VerifiedFrontToken {
  const { client_id: clientId, scope, cnf, jti: id, iat: issuedAt, exp: expires, acr, amr, auth_time } = claims
  return {
    user: { kind: 'user', ...claims[userClaim] },
    clientId,
    scopes: scope === undefined ? [] : scope.split(' '),
    boundTo: cnf?.jkt ?? null,
    id,
    issuedAt,
    expires,
    strength: { acr: acr ?? null, amr: amr ?? [], authTime: auth_time ?? null },
    epoch: claims[epochClaim],
    keyId,
  }
}

/** The claims, or what is wrong with their shape. */
export function readFrontToken(value: JsonValue): FrontTokenClaims | string {
  const claims = exactObject(value, REQUIRED, OPTIONAL)
  if (claims === null) return `expected exactly the claims ${REQUIRED.join(', ')} and at most ${OPTIONAL.join(', ')}`
  const { iss, sub, aud, client_id, iat, exp, jti } = claims as Readonly<Record<string, JsonValue>>
  if (!isText(iss, MAX_TEXT) || !isText(sub, MAX_TEXT)) return 'expected iss and sub to be texts'
  if (!isText(aud, MAX_TEXT) || !isText(client_id, MAX_TEXT)) return 'expected aud and client_id to be one text each'
  if (!isSeconds(iat) || !isSeconds(exp)) return 'expected iat and exp to be whole seconds'
  if (!isText(jti, tokenLimits.idLength)) return 'expected jti to be a short text'
  const epoch = claims[epochClaim]
  if (!isCount(epoch)) return 'expected the epoch to be a whole number'
  const user = readUserClaim(claims[userClaim])
  if (user === null || sub !== userName(user)) return 'expected the user that sub names'
  const more = readOptional(claims)
  if (typeof more === 'string') return more
  return { iss, sub, aud, client_id, iat, exp, jti, [epochClaim]: epoch, [userClaim]: user, ...more }
}

type OptionalClaims = Pick<FrontTokenClaims, 'scope' | 'cnf' | 'acr' | 'amr' | 'auth_time'>

/** A member that is there has a value: `null` is none. */
function readOptional(claims: JsonObject): OptionalClaims | string {
  const { scope, cnf, acr, amr: methods = [], auth_time } = claims
  if (scope !== undefined && !isScope(scope)) return `expected scope to be at most ${MAX_SCOPES} distinct scopes`
  const jkt = exactObject(cnf, ['jkt'])?.['jkt'] ?? ''
  if (cnf !== undefined && (typeof jkt !== 'string' || !THUMBPRINT.test(jkt))) return 'expected cnf to hold jkt alone'
  if (acr !== undefined && !isText(acr, MAX_WORD)) return 'expected acr to be a short text'
  const amr = readList(methods, MAX_METHODS, (one) => (isText(one, MAX_WORD) ? one : null))
  if (amr === null) return `expected amr to be at most ${MAX_METHODS} short texts`
  if (auth_time !== undefined && !isSeconds(auth_time)) return 'expected auth_time to be whole seconds'
  return {
    ...(scope === undefined ? {} : { scope }),
    ...(typeof jkt === 'string' && jkt !== '' ? { cnf: { jkt } } : {}),
    ...(acr === undefined ? {} : { acr }),
    ...(claims['amr'] === undefined ? {} : { amr }),
    ...(auth_time === undefined ? {} : { auth_time }),
  }
}

function isScope(value: JsonValue): value is string {
  if (!isText(value, MAX_SCOPES * (MAX_WORD + 1))) return false
  const scopes = value.split(' ')
  return scopes.length <= MAX_SCOPES && scopes.every((one) => SCOPE.test(one)) && distinct(scopes, (one) => one)
}
