/**
 * What a sidecar tells the program behind it of one call that it has let through, and a gateway the service whose proxy has asked
 * it: who calls, for whom, through whom, and which request that is about. Signed by a key of that process alone, for that one
 * program or service, and for a minute at most. Of a kind of its own: no verifier of tokens takes it, and this one takes nothing
 * else (reference id JW-8).
 */

import { exactObject, isSeconds, isText } from '../identity/strict-members.ts'
import { subjectName } from '../identity/principal.ts'
import type { Principal } from '../identity/principal.ts'
import type { JsonObject, JsonValue } from '../json-value.ts'
import { scanJson } from '../json/scan.ts'
import type { EpochSeconds } from '../time.ts'
import { tokenLimits } from './claims.ts'
import type { ActClaim } from './claims.ts'
import { openCompactJws, refuse } from './compact-jws.ts'
import type { TokenRefusal } from './compact-jws.ts'
import type { TokenKeySet } from './key-set.ts'
import { readAct } from './read-delegation.ts'
import { signCompactJws, unmintable } from './sign-compact-jws.ts'
import type { TokenSigner } from './sign-compact-jws.ts'

/** `typ` of the JWS. */
export const assertionType = 'doorward-principal+jwt'

export const assertionSeconds = 60

/** Every member but `act` and `body_sha256` is there; no other one is accepted. */
export interface PrincipalAssertionClaims {
  /** SPIFFE ID of the sidecar's or gateway's identity. */
  readonly iss: string
  /** The program behind it, as configuration calls it; the name of the service of a gateway. */
  readonly aud: string
  /** Whom the call is for: SPIFFE ID, or `<issuer>#<subject>` of a person. */
  readonly sub: string
  /** SPIFFE ID of who called: the holder of the certificate and of the token. */
  readonly client_id: string
  /** Who acts for the subject, whoever called first (RFC 8693 §4.1); absent where nobody does. */
  readonly act?: ActClaim
  readonly iat: EpochSeconds
  /** At most 60 s after `iat`. */
  readonly exp: EpochSeconds
  readonly jti: string
  /** Names the entry in the record of whoever asserts. */
  readonly decision: string
  readonly method: string
  /** Path and query of the request, as they are on its first line. */
  readonly target: string
  /** SHA-256 of the body, base64url; absent where it is empty. */
  readonly body_sha256?: string
}

export interface PrincipalAssertionCheck {
  /** SPIFFE ID of the sidecar or gateway. */
  readonly issuer: string
  readonly audience: string
  readonly keys: TokenKeySet
  readonly method: string
  readonly target: string
  /** SHA-256 of the body, base64url; null for an empty one. */
  readonly bodySha256: string | null
  /** The time, for what this key has signed. */
  readonly now: (keyId: string) => EpochSeconds
  /** For `exp` and `iat`; 5 by default: both are on one machine. */
  readonly leewaySeconds?: number
}

export interface VerifiedAssertion {
  readonly ok: true
  readonly claims: PrincipalAssertionClaims
  /** `kid` of the key whose signature held. */
  readonly keyId: string
}

const REQUIRED = ['iss', 'aud', 'sub', 'client_id', 'iat', 'exp', 'jti', 'decision', 'method', 'target']
const OPTIONAL = ['act', 'body_sha256']
const LIMITS = { maxBytes: tokenLimits.bytes, maxDepth: 4 + tokenLimits.actDepth, maxKeys: 64 }
const MAX_TEXT = 2048
const MAX_METHOD = 16
const DIGEST = /^[A-Za-z0-9_-]{43}$/
const defaultLeewaySeconds = 5

/** `sub`, `client_id` and `act` of a principal. */
export function assertedParties(
  principal: Pick<Principal, 'subject' | 'presenter' | 'act'>,
): Pick<PrincipalAssertionClaims, 'sub' | 'client_id' | 'act'> {
  const { subject, presenter, act } = principal
  const sub = subjectName(subject)
  if (sub === presenter.uri) return { sub, client_id: presenter.uri }
  const chain = [presenter, ...act].reduceRight<ActClaim | undefined>(
    (inner, { uri }) => (inner === undefined ? { sub: uri } : { sub: uri, act: inner }),
    undefined,
  )
  return { sub, client_id: presenter.uri, ...(chain === undefined ? {} : { act: chain }) }
}

/** Throws `token_claims_invalid` for claims of the wrong shape, a life above 60 s or more than 4 KiB, or what custody throws. */
export async function mintAssertion(claims: PrincipalAssertionClaims, signer: TokenSigner): Promise<string> {
  const plain = JSON.parse(JSON.stringify(claims)) as JsonValue
  const read = readAssertion(plain)
  if (typeof read === 'string') throw unmintable(read)
  return signCompactJws(assertionType, plain, signer)
}

/**
 * Verifies grammar, type, key and ES256 signature, then claims: sidecar, program, time, and that it is about this very request.
 * Never throws; codes are `TokenCode`. Not checked: whether it was used before.
 */
export function verifyAssertion(text: string, check: PrincipalAssertionCheck): VerifiedAssertion | TokenRefusal {
  const signed = openCompactJws(text, { typ: assertionType, keys: check.keys })
  if ('ok' in signed) return signed
  const payload = scanJson(signed.payload, LIMITS)
  if (!payload.ok) return refuse('token_claims', `the payload is not strict JSON: ${payload.code}`)
  const claims = readAssertion(payload.value)
  if (typeof claims === 'string') return refuse('token_claims', claims)
  const { keyId } = signed
  const now = check.now(keyId)
  return judge(claims, check, now) ?? { ok: true, claims, keyId }
}

function judge(
  claims: PrincipalAssertionClaims,
  check: PrincipalAssertionCheck,
  now: EpochSeconds,
): TokenRefusal | null {
  const { issuer, audience, leewaySeconds: leeway = defaultLeewaySeconds } = check
  if (claims.iss !== issuer) return refuse('token_issuer', `expected issuer ${issuer}`)
  if (claims.aud !== audience) return refuse('token_audience', `expected audience ${audience}`)
  if (now >= claims.exp + leeway) return refuse('token_expired', `exp was ${claims.exp}`)
  if (now < claims.iat - leeway) return refuse('token_not_yet_valid', `iat is ${claims.iat}`)
  if (claims.method !== check.method || claims.target !== check.target)
    return refuse('token_binding', `it is about ${claims.method} of another request`)
  return (claims.body_sha256 ?? null) === check.bodySha256
    ? null
    : refuse('token_binding', 'it is about a request with another body')
}

/** The claims, or what is wrong with their shape. */
function readAssertion(value: JsonValue): PrincipalAssertionClaims | string {
  const claims = exactObject(value, REQUIRED, OPTIONAL)
  if (claims === null) return `expected exactly the claims ${REQUIRED.join(', ')} and at most ${OPTIONAL.join(', ')}`
  const { iss, aud, sub, client_id, jti, decision, method, target, iat, exp } = claims as Readonly<
    Record<string, JsonValue>
  >
  if (!isText(iss, MAX_TEXT) || !isText(aud, MAX_TEXT)) return 'expected iss and aud to be one text each'
  if (!isText(sub, MAX_TEXT) || !isText(client_id, MAX_TEXT)) return 'expected sub and client_id to be texts'
  if (!isText(jti, tokenLimits.idLength) || !isText(decision, MAX_TEXT)) return 'expected jti and decision to be texts'
  if (!isText(method, MAX_METHOD)) return 'expected method to be a short text'
  if (!isText(target, MAX_TEXT)) return `expected target to be a text of at most ${MAX_TEXT} characters`
  if (!isSeconds(iat) || !isSeconds(exp)) return 'expected iat and exp to be whole seconds'
  if (exp <= iat || exp - iat > assertionSeconds) return `expected exp within ${assertionSeconds} s after iat`
  const more = readOptional(claims)
  if (typeof more === 'string') return more
  return { iss, aud, sub, client_id, iat, exp, jti, decision, method, target, ...more }
}

/** A member that is there has a value: `null` is none. */
function readOptional(claims: JsonObject): Pick<PrincipalAssertionClaims, 'act' | 'body_sha256'> | string {
  const { act, body_sha256: digest } = claims
  if (digest !== undefined && (typeof digest !== 'string' || !DIGEST.test(digest)))
    return 'expected body_sha256 to be a digest in base64url'
  const actor = act === undefined ? undefined : readAct(act, tokenLimits.actDepth)
  if (actor === null) return `expected act to be at most ${tokenLimits.actDepth} actors`
  return {
    ...(actor === undefined ? {} : { act: actor }),
    ...(typeof digest === 'string' ? { body_sha256: digest } : {}),
  }
}
