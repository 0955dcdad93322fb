/** Whether a text is a JWT-SVID of a trust domain, meant for here and for now (SPIFFE JWT-SVID; reference ids JW-1 … JW-8), and making one. */

import { isJsonObject, member } from '../json/object.ts'
import { scanJson } from '../json/scan.ts'
import type { JsonObject, JsonValue } from '../json-value.ts'
import { exactObject, isText } from '../identity/strict-members.ts'
import type { EpochSeconds } from '../time.ts'
import { tokenLimits } from './claims.ts'
import { refuse, splitCompactJws } from './compact-jws.ts'
import type { CompactParts, TokenRefusal } from './compact-jws.ts'
import { readJwtSvidClaims } from './jwt-svid-claims.ts'
import type { JwtSvid } from './jwt-svid-claims.ts'
import { isJwtSvidAlgorithm, jwtSvidAlgorithms } from './jwt-svid-keys.ts'
import type { JwtSvidAlgorithm, JwtSvidKey } from './jwt-svid-keys.ts'
import { signCompactJws, unmintable } from './sign-compact-jws.ts'
import type { TokenSigner } from './sign-compact-jws.ts'

export interface JwtSvidCheck {
  /** What the token calls us: one of its audiences, exactly. */
  readonly audience: string
  readonly trustDomain: string
  /** Of the bundle of this trust domain, and of no other one. */
  readonly keys: readonly JwtSvidKey[]
  readonly now: EpochSeconds
  /** For `exp`, `nbf` and `iat`; 30 by default. */
  readonly leewaySeconds?: number
  /** A token that names no key: refused by default, or tried with up to 8 keys of its algorithm, for issuers that name none (JW-7). */
  readonly withoutKid?: 'refused' | 'tried'
}

export interface VerifiedJwtSvid {
  readonly ok: true
  readonly svid: JwtSvid
  /** `kid` of the key that signed it. */
  readonly keyId: string
}

/** What goes into a JWT-SVID of ours. One audience; other claims as wanted. */
export interface JwtSvidClaims {
  /** SPIFFE ID. */
  readonly sub: string
  readonly aud: string
  readonly iat: EpochSeconds
  /** At most 300 s after `iat`. */
  readonly exp: EpochSeconds
  readonly [claim: string]: JsonValue
}

interface Header {
  readonly algorithm: JwtSvidAlgorithm
  readonly kid: string | null
}

const defaultLeewaySeconds = 30
const TRIED_KEYS = 8
const HEADER_LIMITS = { maxBytes: 512, maxDepth: 2, maxKeys: 8 }
const CLAIM_LIMITS = { maxBytes: tokenLimits.bytes, maxDepth: 8, maxKeys: 128 }

/**
 * Verifies a JWT-SVID of at most 4 KiB: compact grammar, algorithm, header, key, signature, then claims. The payload is
 * not parsed before its signature holds. Never throws.
 * Codes: `token_too_large`, `token_malformed`, `token_algorithm`, `token_type`, `token_header`, `token_key_unknown`,
 * `token_signature`, `token_claims`, `token_subject`, `token_audience`, `token_expired`, `token_not_yet_valid`.
 *
 * Not checked: denials, whether it was used before (an agent may use it again, JW-4), and any `cnf`.
 */
export function verifyJwtSvid(text: string, check: JwtSvidCheck): VerifiedJwtSvid | TokenRefusal {
  const parts = splitCompactJws(text, tokenLimits.bytes)
  if ('ok' in parts) return parts
  const header = readHeader(parts.header)
  if ('ok' in header) return header
  const keyId = signedBy(parts, header, check)
  if (typeof keyId !== 'string') return keyId
  const payload = scanJson(parts.payload, CLAIM_LIMITS)
  if (!payload.ok) return refuse('token_claims', `the payload is not strict JSON: ${payload.code}`)
  const svid = readJwtSvidClaims(payload.value)
  if (typeof svid === 'string') return refuse('token_claims', svid)
  return judge(svid, check) ?? { ok: true, svid, keyId }
}

function readHeader(bytes: Uint8Array): Header | TokenRefusal {
  const scan = scanJson(bytes, HEADER_LIMITS)
  if (!scan.ok || !isJsonObject(scan.value)) return refuse('token_malformed', 'the header is not a strict JSON object')
  const header: JsonObject = scan.value
  const algorithm = member(header, 'alg')
  if (!isJwtSvidAlgorithm(algorithm))
    return refuse('token_algorithm', `expected alg ${Object.keys(jwtSvidAlgorithms).join(', ')}`)
  const typ = member(header, 'typ')
  if (typ !== undefined && typ !== 'JWT' && typ !== 'JOSE')
    return refuse('token_type', 'expected typ JWT or JOSE, or none')
  const kid = member(header, 'kid')
  if (
    exactObject(header, ['alg'], ['kid', 'typ']) === null ||
    (kid !== undefined && !isText(kid, tokenLimits.idLength))
  )
    return refuse('token_header', 'expected alg, kid and typ and nothing else')
  return { algorithm, kid: kid ?? null }
}

/** `kid` of the key whose signature holds. A key verifies its own algorithm only, whatever the token says. */
function signedBy(parts: CompactParts, { algorithm, kid }: Header, check: JwtSvidCheck): string | TokenRefusal {
  if (kid === null && check.withoutKid !== 'tried') return refuse('token_header', 'expected a kid')
  const candidates = check.keys.filter((key) => key.algorithm === algorithm && (kid === null || key.kid === kid))
  if (candidates.length === 0 || candidates.length > TRIED_KEYS)
    return refuse('token_key_unknown', `${candidates.length} keys for ${algorithm} and kid ${JSON.stringify(kid)}`)
  const { signed, signature } = parts
  const length = jwtSvidAlgorithms[algorithm]
  const signer =
    length === null || signature.length === length
      ? candidates.find(({ key }) => key.verify(signed, signature))
      : undefined
  return signer?.kid ?? refuse('token_signature', `not a signature by ${JSON.stringify(kid)}`)
}

function judge(svid: JwtSvid, check: JwtSvidCheck): TokenRefusal | null {
  const { now, leewaySeconds = defaultLeewaySeconds } = check
  if (svid.id.trustDomain !== check.trustDomain)
    return refuse('token_subject', `expected an id of ${check.trustDomain}`)
  if (!svid.audiences.includes(check.audience))
    return refuse('token_audience', `expected the audience ${check.audience}`)
  if (now >= svid.expiresAt + leewaySeconds) return refuse('token_expired', `exp was ${svid.expiresAt}`)
  const start = Math.max(svid.notBefore ?? 0, svid.issuedAt ?? 0)
  return now < start - leewaySeconds ? refuse('token_not_yet_valid', `nbf or iat is ${start}`) : null
}

/**
 * A JWT-SVID with header `{alg: ES256, typ: JWT, kid}`. What this mints, `verifyJwtSvid` accepts.
 * Throws `token_claims_invalid` for claims of the wrong shape, a lifetime above 300 s, a token above 4 KiB or an empty
 * key id, or what custody throws. Not checked: whether the subject is registered.
 */
export async function mintJwtSvid(claims: JwtSvidClaims, signer: TokenSigner): Promise<string> {
  const payload = JSON.parse(JSON.stringify(claims)) as JsonValue
  const svid = readJwtSvidClaims(payload)
  if (typeof svid === 'string') throw unmintable(svid)
  if (typeof claims.aud !== 'string') throw unmintable('several audiences')
  if (svid.issuedAt === null) throw unmintable('no iat')
  const lifetime = svid.expiresAt - svid.issuedAt
  if (lifetime <= 0 || lifetime > tokenLimits.lifetimeSeconds) throw unmintable(`a lifetime of ${lifetime} s`)
  if (svid.notBefore !== null && svid.notBefore >= svid.expiresAt) throw unmintable('an nbf after its exp')
  return signCompactJws('JWT', payload, signer)
}
