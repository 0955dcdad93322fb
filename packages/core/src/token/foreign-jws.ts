/**
 * A compact JWS of an issuer that is not ours: algorithm, keys, issuer and audience are what configuration says, and nothing
 * in the token chooses any of them.
 */

import { isJsonObject, member } from '../json/object.ts'
import { scanJson } from '../json/scan.ts'
import type { JsonObject } from '../json-value.ts'
import { isText } from '../identity/strict-members.ts'
import type { VerifyKey } from '../primitives.ts'
import { refuse, splitCompactJws } from './compact-jws.ts'
import type { TokenRefusal } from './compact-jws.ts'

/** RFC 7518 §3.1, RFC 8037 §3.1. No HMAC: whoever could verify could sign. */
export const issuerAlgorithms = ['RS256', 'PS256', 'ES256', 'ES384', 'EdDSA'] as const
export type IssuerAlgorithm = (typeof issuerAlgorithms)[number]

/** What foreign issuers' tokens may have (threat model F8). */
export const foreignTokenBytes = 8192
const MAX_KID = 256
const MAX_ISSUER = 512
const HEADER_LIMITS = { maxBytes: 2048, maxDepth: 3, maxKeys: 16 }
const CLAIM_LIMITS = { maxBytes: foreignTokenBytes, maxDepth: 8, maxKeys: 256 }

export interface ForeignHeader<Algorithm extends IssuerAlgorithm = IssuerAlgorithm> {
  readonly algorithm: Algorithm
  readonly kid: string
}

/** A token, unverified. */
export interface ForeignJws<Header extends ForeignHeader = ForeignHeader> {
  readonly header: Header
  /** Not proven: it helps to choose among configured issuers, and to nothing else. */
  readonly claimedIssuer: string
  /** What the signature is over: names this token, whose signature may be written in several ways. */
  readonly signed: Uint8Array
  /** The claims, when the signature is by this key, of the token's algorithm; else null. */
  open(key: VerifyKey): JsonObject | null
}

/** Codes: `token_too_large`, `token_malformed`, `token_claims`, and those of `readHeader`, which judges a strict JSON object. */
export function readForeignJws<Header extends ForeignHeader>(
  text: string,
  readHeader: (header: JsonObject) => Header | TokenRefusal,
): ForeignJws<Header> | TokenRefusal {
  const parts = splitCompactJws(text, foreignTokenBytes)
  if ('ok' in parts) return parts
  const head = scanJson(parts.header, HEADER_LIMITS)
  if (!head.ok || !isJsonObject(head.value)) return refuse('token_malformed', 'the header is not a strict JSON object')
  const header = readHeader(head.value)
  if ('ok' in header) return header
  const scan = scanJson(parts.payload, CLAIM_LIMITS)
  const claims = scan.ok && isJsonObject(scan.value) ? scan.value : null
  const claimedIssuer = claims === null ? undefined : member(claims, 'iss')
  if (claims === null || !isText(claimedIssuer, MAX_ISSUER))
    return refuse('token_claims', 'expected claims as strict JSON with an issuer')
  const { signed, signature } = parts
  return { header, claimedIssuer, signed, open: (key) => (key.verify(signed, signature) ? claims : null) }
}

/** `alg` among those, and a `kid`. Codes: `token_algorithm`, `token_header`. */
export function readAlgorithm<Algorithm extends IssuerAlgorithm>(
  header: JsonObject,
  algorithms: readonly Algorithm[],
): ForeignHeader<Algorithm> | TokenRefusal {
  const algorithm = algorithms.find((name) => name === member(header, 'alg'))
  if (algorithm === undefined) return refuse('token_algorithm', `expected alg ${algorithms.join(', ')}`)
  const kid = member(header, 'kid')
  if (!isText(kid, MAX_KID)) return refuse('token_header', `expected a kid of at most ${MAX_KID} characters`)
  return { algorithm, kid }
}
