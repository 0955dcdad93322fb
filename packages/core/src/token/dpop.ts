/**
 * Proofs that whoever presents a token holds the key that it is bound to (DPoP, RFC 9449 §4). Pure: time, hash and the
 * import of keys are given; whether a proof was used before is asked elsewhere.
 */

import { toBase64url, utf8 } from '../bytes.ts'
import type { JsonObject } from '../json-value.ts'
import { isJsonObject, member } from '../json/object.ts'
import { scanJson } from '../json/scan.ts'
import { exactObject, isSeconds, isText } from '../identity/strict-members.ts'
import type { Sha256 } from '../primitives.ts'
import type { EpochSeconds } from '../time.ts'
import { splitCompactJws } from './compact-jws.ts'
import { publicJwkThumbprint, readPublicJwk } from './public-jwk.ts'
import type { ImportPublicKey, ProofAlgorithm } from './public-jwk.ts'

export const dpopLimits = {
  bytes: 4096,
  /** Clocks may differ by so much, either way. */
  skewSeconds: 60,
  /** With a nonce of ours, which says when: the clock of the caller may be wrong by this much. */
  skewWithNonceSeconds: 300,
  idLength: 256,
} as const

/** A proof whose signature holds. */
export interface DpopProof {
  readonly ok: true
  /** RFC 7638 thumbprint of the key that signed it: `jkt`. */
  readonly thumbprint: string
  readonly claims: DpopClaims
}

export interface DpopClaims {
  readonly jti: string
  readonly htm: string
  readonly htu: string
  readonly iat: EpochSeconds
  /** Null: the proof goes with no access token, as at a token endpoint (RFC 9449 §5). */
  readonly ath: string | null
  readonly nonce: string | null
}

export interface DpopRefusal {
  readonly ok: false
  /** For the operator. Holds no part of the proof. */
  readonly message: string
}

export interface DpopCheck {
  readonly algorithms: readonly ProofAlgorithm[]
  readonly importKey: ImportPublicKey
  readonly sha256: Sha256
}

export interface DpopExpectation {
  readonly method: string
  /** https URL of the request, from configuration, without query. */
  readonly url: string
  /** Null where none is shown: the key is whichever has signed, then. */
  readonly token: string | null
  /** Thumbprint that the token is bound to. */
  readonly boundTo: string
  readonly now: EpochSeconds
  readonly sha256: Sha256
}

const HEADER_LIMITS = { maxBytes: 3072, maxDepth: 4, maxKeys: 24 }
const CLAIM_LIMITS = { maxBytes: dpopLimits.bytes, maxDepth: 4, maxKeys: 32 }
const MAX_URL = 2048
const MAX_METHOD = 16
const MAX_NONCE = 512
const HASH_TEXT = 43

function refuse(message: string): DpopRefusal {
  return { ok: false, message }
}

/**
 * Reads a proof and verifies its signature by the key that it brings: at most 4 KiB, a header of exactly `typ: dpop+jwt`,
 * `alg` and `jwk`, and the claims `jti`, `htm`, `htu` and `iat`. Never throws.
 */
export function readDpopProof(text: string, { algorithms, importKey, sha256 }: DpopCheck): DpopProof | DpopRefusal {
  const parts = splitCompactJws(text, dpopLimits.bytes)
  if ('ok' in parts) return refuse(parts.message)
  const scanned = scanJson(parts.header, HEADER_LIMITS)
  const header = scanned.ok && isJsonObject(scanned.value) ? exactObject(scanned.value, ['typ', 'alg', 'jwk']) : null
  if (header === null) return refuse('expected a header of typ, alg and jwk alone')
  if (member(header, 'typ') !== 'dpop+jwt') return refuse('expected typ dpop+jwt')
  const algorithm = algorithms.find((name) => name === member(header, 'alg'))
  if (algorithm === undefined) return refuse(`expected alg ${algorithms.join(' or ')}`)
  const jwk = readPublicJwk(member(header, 'jwk'), algorithm)
  if (jwk === null) return refuse(`expected a public key for ${algorithm}, and nothing private`)
  const key = importKey(algorithm, jwk)
  if (key === null) return refuse(`expected a sound key for ${algorithm}`)
  if (!key.verify(parts.signed, parts.signature)) return refuse('expected a signature by the key in the header')
  const payload = scanJson(parts.payload, CLAIM_LIMITS)
  const claims = payload.ok && isJsonObject(payload.value) ? readClaims(payload.value) : null
  if (claims === null) return refuse('expected the claims jti, htm, htu and iat, and perhaps ath and nonce')
  return { ok: true, thumbprint: publicJwkThumbprint(jwk, sha256), claims }
}

function readClaims(object: JsonObject): DpopClaims | null {
  const [jti, htm, htu, iat, ath, nonce] = ['jti', 'htm', 'htu', 'iat', 'ath', 'nonce'].map((name) =>
    member(object, name),
  )
  if (!isText(jti, dpopLimits.idLength) || !isText(htm, MAX_METHOD) || !isText(htu, MAX_URL)) return null
  if (!isSeconds(iat) || (ath !== undefined && !isText(ath, HASH_TEXT))) return null
  if (nonce !== undefined && !isText(nonce, MAX_NONCE)) return null
  return { jti, htm, htu, iat, ath: ath ?? null, nonce: nonce ?? null }
}

/** Null when the proof is for this request, this token and now; else what is wrong with it. Its nonce is judged elsewhere. */
export function dpopProblem({ thumbprint, claims }: DpopProof, expected: DpopExpectation): string | null {
  const { token, boundTo } = expected
  if (token !== null && thumbprint !== boundTo) return 'expected a proof by the key that the token is bound to'
  if (claims.htm !== expected.method) return `expected htm ${expected.method}`
  const url = normalUrl(claims.htu)
  if (url === null || url !== normalUrl(expected.url)) return `expected htu ${expected.url}`
  const ath = token === null ? null : accessTokenHash(token, expected.sha256)
  if (claims.ath !== ath) return token === null ? 'expected no ath' : 'expected ath to be of this token'
  const skew = claims.nonce === null ? dpopLimits.skewSeconds : dpopLimits.skewWithNonceSeconds
  return Math.abs(expected.now - claims.iat) <= skew ? null : `expected iat within ${skew} s of now`
}

/** `ath`: RFC 9449 §4.2. */
export function accessTokenHash(token: string, sha256: Sha256): string {
  return toBase64url(sha256(utf8(token)))
}

const HTTPS_URL = /^https:\/\/([^/?#@\\]{1,259})(\/[^?#\\]*)?(?:[?#].*)?$/i

/**
 * What is compared of an https URL: host in lowercase without the default port, and the path as it stands; query and
 * fragment are not part of it (RFC 9449 §4.3, RFC 3986 §6.2.2.1 and §6.2.3). Null for anything else: our own paths have no
 * dots and no escapes, so nothing is gained by taking them out of somebody else's.
 */
function normalUrl(text: string): string | null {
  const [, authority, path = '/'] = HTTPS_URL.exec(text) ?? []
  return authority === undefined ? null : `https://${authority.toLowerCase().replace(/:443$/, '')}${path}`
}
