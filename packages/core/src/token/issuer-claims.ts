/** What the claims of a configured issuer's token say, once the signature holds or the issuer itself has answered. Pure. */

import type { UserSubject } from '../identity/principal.ts'
import { isSeconds, isText, readList } from '../identity/strict-members.ts'
import { isJsonObject, member } from '../json/object.ts'
import type { JsonObject, JsonValue } from '../json-value.ts'
import type { EpochSeconds } from '../time.ts'
import { userLimits } from './claims.ts'
import { refuse } from './compact-jws.ts'
import type { TokenRefusal } from './compact-jws.ts'
import { claimAt } from './platform-token.ts'

/** How an issuer's claims become a user. Names are members, or JSON Pointers where they start with `/`. */
export interface ClaimRules {
  readonly user: string
  /** Null: no groups. */
  readonly groups: string | null
  /** Only groups that begin so are taken; null takes all. */
  readonly groupPrefix: string | null
  /** Claims that must have exactly these values: the tenant, for one. */
  readonly require: Readonly<Record<string, string | number | boolean>>
}

export interface IssuerExpectation {
  readonly issuer: string
  /** Must be among the token's audiences. */
  readonly audience: string
  /** What may stand beside it. */
  readonly otherAudiences: readonly string[]
  readonly maxLifetimeSeconds: number
  readonly now: EpochSeconds
  /** For `exp`, `nbf` and `iat`; 30 by default. */
  readonly leewaySeconds?: number
}

export interface IdTokenExpectation extends Omit<IssuerExpectation, 'audience'> {
  /** `aud`, and `azp` where it is said. */
  readonly clientId: string
  readonly nonce: string
  /** A token without any nonce is accepted too: providers leave it out of sign-ins by device code. */
  readonly mayLackNonce?: boolean
  /** How long ago the person may have signed in; null asks nothing. */
  readonly maxAgeSeconds: number | null
}

/** Claims of the right shape. */
export interface IssuerClaims {
  readonly user: UserSubject
  readonly clientId: string | null
  readonly scopes: readonly string[]
  /** `cnf.jkt`; null for a bearer token. */
  readonly boundTo: string | null
  /** `jti`; null for none. */
  readonly id: string | null
  readonly issuedAt: EpochSeconds
  readonly expires: EpochSeconds
  readonly strength: {
    readonly acr: string | null
    readonly amr: readonly string[]
    readonly authTime: EpochSeconds | null
  }
}

const MAX_AUDIENCES = 16
const MAX_SCOPES = 128
const MAX_TEXT = 512
const defaultLeewaySeconds = 30
/** An ID token is shown at once after the sign-in. */
const freshSeconds = 300
const THUMBPRINT = /^[A-Za-z0-9_-]{43}$/
/** No control characters and no lone surrogates: the name stands in logs and policies. */
const VISIBLE = /^[^\p{Cc}\p{Cs}]+$/u

/**
 * Null when the claims hold here and now: issuer exactly, our audience and no unknown one, `exp` and `iat` in whole seconds and
 * `nbf` if there is one, a life no longer than accepted.
 * Codes: `token_issuer`, `token_audience`, `token_claims`, `token_lifetime`, `token_expired`, `token_not_yet_valid`.
 */
export function judgeIssuerClaims(claims: JsonObject, expected: IssuerExpectation): TokenRefusal | null {
  const { issuer, audience, otherAudiences } = expected
  if (member(claims, 'iss') !== issuer) return refuse('token_issuer', `expected issuer ${issuer}`)
  const audiences = textsOf(member(claims, 'aud'), MAX_AUDIENCES, MAX_TEXT)
  if (audiences === null || !audiences.includes(audience))
    return refuse('token_audience', `expected the audience ${audience}`)
  if (audiences.some((one) => one !== audience && !otherAudiences.includes(one)))
    return refuse('token_audience', `expected no audience beside ${[audience, ...otherAudiences].join(', ')}`)
  return timeProblem(claims, expected)
}

/**
 * The same for an ID token: for this client alone, made for this sign-in (`nonce`), just now (OpenID Connect Core §3.1.3.7).
 * Codes beside those of `judgeIssuerClaims`: `token_binding` for another sign-in.
 */
export function judgeIdToken(claims: JsonObject, expected: IdTokenExpectation): TokenRefusal | null {
  const { clientId, maxAgeSeconds, now, leewaySeconds: leeway = defaultLeewaySeconds } = expected
  const problem = judgeIssuerClaims(claims, { ...expected, audience: clientId })
  if (problem !== null) return problem
  const azp = member(claims, 'azp')
  const several = Array.isArray(member(claims, 'aud')) && (member(claims, 'aud') as readonly JsonValue[]).length > 1
  if ((azp !== undefined || several) && azp !== clientId) return refuse('token_audience', `expected azp ${clientId}`)
  const nonce = member(claims, 'nonce')
  const lacking = nonce === undefined && expected.mayLackNonce === true
  if (nonce !== expected.nonce && !lacking) return refuse('token_binding', 'expected the nonce of this sign-in')
  const issuedAt = Number(member(claims, 'iat'))
  if (now > issuedAt + freshSeconds + leeway)
    return refuse('token_expired', `expected an ID token of the last ${freshSeconds} s, iat was ${issuedAt}`)
  if (maxAgeSeconds === null) return null
  const authTime = member(claims, 'auth_time')
  if (!isSeconds(authTime)) return refuse('token_claims', 'expected auth_time in whole seconds')
  return now > authTime + maxAgeSeconds + leeway
    ? refuse('token_expired', `expected a sign-in of the last ${maxAgeSeconds} s, auth_time was ${authTime}`)
    : null
}

function timeProblem(claims: JsonObject, expected: IssuerExpectation): TokenRefusal | null {
  const { now, maxLifetimeSeconds, leewaySeconds: leeway = defaultLeewaySeconds } = expected
  const [exp, iat] = ['exp', 'iat'].map((name) => member(claims, name))
  const nbf = member(claims, 'nbf') ?? iat
  if (!isSeconds(exp) || !isSeconds(iat) || !isSeconds(nbf))
    return refuse('token_claims', 'expected exp, iat and perhaps nbf in whole seconds')
  if (exp <= iat || exp - iat > maxLifetimeSeconds || nbf >= exp)
    return refuse('token_lifetime', `expected exp within ${maxLifetimeSeconds} s after iat and after nbf`)
  if (now >= exp + leeway) return refuse('token_expired', `exp was ${exp}`)
  if (now < nbf - leeway || now < iat - leeway) return refuse('token_not_yet_valid', `nbf is ${nbf}, iat is ${iat}`)
  return null
}

/**
 * The user and all that counts of claims that `judgeIssuerClaims` or `judgeIdToken` has let pass. Code `token_claims`: a claim
 * that is required has another value, is missing, too long or of the wrong type.
 */
export function mapIssuerClaims(claims: JsonObject, rules: ClaimRules): IssuerClaims | TokenRefusal {
  const wrong = Object.entries(rules.require).find(([name, value]) => claimAt(claims, name) !== value)
  if (wrong !== undefined) return refuse('token_claims', `expected the claim ${wrong[0]} to be as configured`)
  const user = userOf(claims, rules)
  if ('ok' in user) return user
  const scopes = scopesOf(claims)
  if (scopes === null) return refuse('token_claims', `expected at most ${MAX_SCOPES} scopes`)
  const boundTo = bindingOf(member(claims, 'cnf'))
  if (boundTo === undefined) return refuse('token_claims', 'expected cnf to be absent, or to hold a jkt')
  const [clientId, id] = [member(claims, 'client_id') ?? member(claims, 'azp') ?? null, member(claims, 'jti') ?? null]
  if ((clientId !== null && !isText(clientId, MAX_TEXT)) || (id !== null && !isText(id, MAX_TEXT)))
    return refuse('token_claims', `expected client_id and jti to be texts of at most ${MAX_TEXT} characters`)
  const strength = strengthOf(claims)
  if (strength === null) return refuse('token_claims', 'expected acr, amr and auth_time as OpenID Connect has them')
  const [issuedAt, expires] = [member(claims, 'iat'), member(claims, 'exp')]
  if (!isSeconds(issuedAt) || !isSeconds(expires)) return refuse('token_claims', 'expected iat and exp')
  return { user, clientId, scopes, boundTo, id, issuedAt, expires, strength }
}

function userOf(claims: JsonObject, rules: ClaimRules): UserSubject | TokenRefusal {
  const [issuer, subject] = [member(claims, 'iss'), claimAt(claims, rules.user)]
  if (!isText(issuer, userLimits.issuerLength)) return refuse('token_claims', 'expected iss to be a text')
  if (!isText(subject, userLimits.subjectLength) || !VISIBLE.test(subject))
    return refuse('token_claims', `expected ${rules.user} to name the user, in ${userLimits.subjectLength} characters`)
  const groups = groupsOf(claims, rules)
  return 'ok' in groups ? groups : { kind: 'user', issuer, subject, groups }
}

function groupsOf(claims: JsonObject, { groups: name, groupPrefix }: ClaimRules): readonly string[] | TokenRefusal {
  if (name === null) return []
  // OpenID Connect Core §5.6.2: the groups are elsewhere, because there are too many. Nobody may pass as having none.
  const elsewhere = member(claims, '_claim_names')
  if (isJsonObject(elsewhere) && Object.hasOwn(elsewhere, name))
    return refuse('token_claims', `expected ${name} in the token itself, and it says that they are elsewhere`)
  const value = claimAt(claims, name)
  if (value === undefined) return []
  const all = textsOf(value, MAX_LISTED, MAX_TEXT)
  const taken = all?.filter((group) => groupPrefix === null || group.startsWith(groupPrefix)) ?? null
  const fits =
    taken !== null &&
    taken.length <= userLimits.groups &&
    taken.every((group) => group.length <= userLimits.groupLength && VISIBLE.test(group))
  return fits
    ? [...new Set(taken)]
    : refuse('token_claims', `expected ${name} to list at most ${userLimits.groups} groups that count`)
}

const MAX_LISTED = 250

/** RFC 8693 §4.2; some issuers write `scp`, and a list. */
function scopesOf(claims: JsonObject): readonly string[] | null {
  const value = member(claims, 'scope') ?? member(claims, 'scp')
  if (value === undefined) return []
  const texts = typeof value === 'string' ? value.split(' ').filter((one) => one !== '') : value
  return readList(texts, MAX_SCOPES, (one) => (isText(one, MAX_TEXT) ? one : null))
}

/** Undefined for a confirmation that is not of a key's thumbprint: a restriction that nobody here could enforce. */
function bindingOf(cnf: JsonValue | undefined): string | null | undefined {
  if (cnf === undefined) return null
  const jkt = isJsonObject(cnf) ? member(cnf, 'jkt') : undefined
  const alone = isJsonObject(cnf) && Object.keys(cnf).length === 1
  return alone && typeof jkt === 'string' && THUMBPRINT.test(jkt) ? jkt : undefined
}

function strengthOf(claims: JsonObject): IssuerClaims['strength'] | null {
  const [acr, authTime] = [member(claims, 'acr') ?? null, member(claims, 'auth_time') ?? null]
  const amr = readList(member(claims, 'amr') ?? [], MAX_AUDIENCES, (one) => (isText(one, MAX_TEXT) ? one : null))
  if ((acr !== null && !isText(acr, MAX_TEXT)) || (authTime !== null && !isSeconds(authTime)) || amr === null)
    return null
  return { acr, amr, authTime }
}

/** One text, or a list of them; null for anything else. */
function textsOf(value: JsonValue | undefined, limit: number, length: number): readonly string[] | null {
  if (isText(value, length)) return [value]
  return readList(value, limit, (one) => (isText(one, length) ? one : null))
}
