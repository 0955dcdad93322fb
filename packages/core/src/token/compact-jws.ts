/** A compact JWS with an ES256 signature by a known key (RFC 7515 §7.1): the grammar is exact and the header closed. */

import { fromBase64url, utf8 } from '../bytes.ts'
import type { JsonObject } from '../json-value.ts'
import { isJsonObject, member } from '../json/object.ts'
import { scanJson } from '../json/scan.ts'
import { exactObject, isText } from '../identity/strict-members.ts'
import { tokenLimits } from './claims.ts'
import type { TokenCode } from './claims.ts'
import type { TokenKeySet } from './key-set.ts'

export interface TokenRefusal {
  readonly ok: false
  readonly code: TokenCode
  /** For the operator. Holds no part of the token but its kid. */
  readonly message: string
}

export interface JwsCheck {
  /** The only accepted `typ`; null: the header must have none. */
  readonly typ: string | null
  readonly keys: TokenKeySet
}

const SIGNATURE_BYTES = 64
const HEADER_LIMITS = { maxBytes: 512, maxDepth: 2, maxKeys: 8 }

export function refuse(code: TokenCode, message: string): TokenRefusal {
  return { ok: false, code, message }
}

export interface CompactParts {
  readonly header: Uint8Array
  readonly payload: Uint8Array
  readonly signature: Uint8Array
  /** What the signature is over (RFC 7515 §5.2). */
  readonly signed: Uint8Array
}

/** Three non-empty parts, each re-encoding to itself (RFC 7515 §2). Nothing is looked into. Codes: `token_too_large`, `token_malformed`. */
export function splitCompactJws(text: string, maxLength: number): CompactParts | TokenRefusal {
  if (text.length > maxLength) return refuse('token_too_large', `${text.length} characters, at most ${maxLength}`)
  const first = text.indexOf('.')
  const second = text.indexOf('.', first + 1)
  if (first <= 0 || second <= first + 1 || second === text.length - 1 || text.includes('.', second + 1)) {
    return refuse('token_malformed', 'expected three parts')
  }
  const header = fromBase64url(text.slice(0, first))
  const payload = fromBase64url(text.slice(first + 1, second))
  const signature = fromBase64url(text.slice(second + 1))
  if (header === null || payload === null || signature === null) {
    return refuse('token_malformed', 'expected base64url that re-encodes to itself')
  }
  return { header, payload, signature, signed: utf8(text.slice(0, second)) }
}

export interface OpenedJws {
  readonly payload: Uint8Array
  /** `kid` of the key whose signature held. */
  readonly keyId: string
}

/**
 * The payload, once its signature holds. At most 4 KiB, three non-empty parts, each re-encoding to itself (RFC 7515 §2);
 * header exactly `{alg: ES256, kid}` and `typ` as demanded. The payload is not looked into.
 * Codes: `token_too_large`, `token_malformed`, `token_algorithm`, `token_type`, `token_header`, `token_key_unknown`, `token_signature`.
 */
export function openCompactJws(text: string, check: JwsCheck): OpenedJws | TokenRefusal {
  const parts = splitCompactJws(text, tokenLimits.bytes)
  if ('ok' in parts) return parts
  const kid = readKid(parts.header, check.typ)
  if (typeof kid !== 'string') return kid
  const key = check.keys.get(kid)
  if (key === undefined) return refuse('token_key_unknown', `no token key ${JSON.stringify(kid)}`)
  const { signed, signature, payload } = parts
  const holds = signature.length === SIGNATURE_BYTES && key.verify(signed, signature)
  return holds ? { payload, keyId: kid } : refuse('token_signature', `not a signature by ${JSON.stringify(kid)}`)
}

function readKid(bytes: Uint8Array, typ: string | null): string | TokenRefusal {
  const scan = scanJson(bytes, HEADER_LIMITS)
  if (!scan.ok) return refuse('token_malformed', `the header is not strict JSON: ${scan.code}`)
  if (!isJsonObject(scan.value)) return refuse('token_malformed', 'the header is not an object')
  const header: JsonObject = scan.value
  if (member(header, 'alg') !== 'ES256') return refuse('token_algorithm', 'expected alg ES256')
  if ((member(header, 'typ') ?? null) !== typ) return refuse('token_type', `expected typ ${typ ?? 'to be absent'}`)
  const kid = member(header, 'kid')
  if (
    exactObject(header, typ === null ? ['alg', 'kid'] : ['alg', 'typ', 'kid']) === null ||
    !isText(kid, tokenLimits.idLength)
  ) {
    return refuse('token_header', 'expected alg, typ and kid and nothing else')
  }
  return kid
}
