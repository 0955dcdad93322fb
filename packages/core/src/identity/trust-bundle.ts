/** The SPIFFE trust bundle: an RFC 7517 key set that foreign verifiers read (reference ids TB-1 … TB-4, X5-9, JW-6). */

import { fromBase64, fromUtf8, toBase64 } from '../bytes.ts'
import { scanJson } from '../json/scan.ts'
import { isJsonObject, member } from '../json/object.ts'
import type { JsonObject, JsonValue } from '../json-value.ts'
import type { P256Jwk, Sha256 } from '../primitives.ts'
import { readCertificate } from './certificate.ts'
import type { PeerCertificate } from './certificate.ts'
import { readP256Jwk } from './jwk.ts'
import { isCount, isText } from './strict-members.ts'

export interface JwtBundleKey {
  readonly kid: string
  readonly jwk: P256Jwk
}

export interface TrustBundle {
  /** Rises with every change of content; null when the bundle gives none. */
  readonly sequence: bigint | null
  /** How often to ask for a new one; null when the bundle gives none, then 300 (TB-5). */
  readonly refreshHintSeconds: number | null
  /** Signing certificates for X.509-SVIDs. */
  readonly x509: readonly PeerCertificate[]
  /** Keys for JWT-SVIDs. Access-token keys are not among them: they are another kind. */
  readonly jwt: readonly JwtBundleKey[]
}

const MAX_KEYS = 256
const LIMITS = { maxBytes: 1024 * 1024, maxDepth: 8, maxKeys: 10_000 }

/** The bundle as JSON. Throws a TypeError for a certificate whose key is not P-256. */
export function encodeTrustBundle(bundle: TrustBundle): string {
  const keys = [
    ...bundle.x509.map(x509Entry),
    ...bundle.jwt.map(({ kid, jwk }) => ({ use: 'jwt-svid', kid, ...bare(jwk) })),
  ]
  // A sequence has 64 bits, more than a JSON number made by JSON.stringify can hold.
  const head = [
    ...(bundle.sequence === null ? [] : [`"spiffe_sequence":${bundle.sequence}`]),
    ...(bundle.refreshHintSeconds === null ? [] : [`"spiffe_refresh_hint":${bundle.refreshHintSeconds}`]),
  ]
  return `{${[...head, `"keys":${JSON.stringify(keys)}`].join(',')}}`
}

function x509Entry({ der, publicJwk }: PeerCertificate): object {
  if (publicJwk === null) throw new TypeError('expected a signing certificate with a P-256 key')
  return { use: 'x509-svid', ...bare(publicJwk), x5c: [toBase64(der)] }
}

function bare({ kty, crv, x, y }: P256Jwk): P256Jwk {
  return { kty, crv, x, y }
}

/**
 * Reads a bundle. Entries of unknown kind, and those that are unusable, are skipped (TB-2); a text that is not a key set is null.
 * A bundle without any usable entry is legal and makes every SVID of its domain invalid (TB-3).
 */
export function parseTrustBundle(bytes: Uint8Array, { sha256 }: { readonly sha256: Sha256 }): TrustBundle | null {
  const scan = scanJson(bytes, LIMITS)
  if (!scan.ok || !isJsonObject(scan.value)) return null
  const keys = member(scan.value, 'keys')
  if (!Array.isArray(keys) || keys.length > MAX_KEYS) return null
  const sequence = readSequence(scan.value, bytes)
  const hint = member(scan.value, 'spiffe_refresh_hint') ?? null
  if (sequence === undefined || (hint !== null && !isCount(hint))) return null
  const entries = (keys as readonly JsonValue[]).filter(isJsonObject)
  return {
    sequence,
    refreshHintSeconds: hint,
    x509: entries.flatMap((entry) => readX509(entry, sha256) ?? []),
    jwt: entries.flatMap((entry) => readJwt(entry) ?? []),
  }
}

/** The sequence in full precision, null when absent, undefined when it is not a whole number of at most 64 bits. */
function readSequence(document: JsonObject, bytes: Uint8Array): bigint | null | undefined {
  if (member(document, 'spiffe_sequence') === undefined) return null
  const sources = new Map<unknown, string | undefined>()
  let root: unknown
  JSON.parse(
    fromUtf8(bytes),
    function (this: unknown, key: string, value: unknown, context?: { readonly source?: string }) {
      if (key === 'spiffe_sequence') sources.set(this, context?.source)
      root = value
      return value
    },
  )
  const source = sources.get(root) ?? ''
  return /^(?:0|[1-9][0-9]{0,19})$/.test(source) && BigInt(source) < 2n ** 64n ? BigInt(source) : undefined
}

function readX509(entry: JsonObject, sha256: Sha256): PeerCertificate | null {
  const x5c = member(entry, 'x5c')
  if (member(entry, 'use') !== 'x509-svid' || typeof member(entry, 'kty') !== 'string' || !Array.isArray(x5c))
    return null
  const first: unknown = x5c[0]
  const der = typeof first === 'string' ? fromBase64(first) : null
  const certificate = der === null ? null : readCertificate(der, { sha256 })
  if (certificate === null || 'problem' in certificate) return null
  return sameKey(entry, certificate.publicJwk) ? certificate : null
}

/** The key in the entry is the certificate's (RFC 7517 §4.7). Of another kind than P-256 it is of no use here anyway. */
function sameKey({ kty, crv, x, y }: JsonObject, key: P256Jwk | null): boolean {
  return key === null || (kty === key.kty && crv === key.crv && x === key.x && y === key.y)
}

function readJwt(entry: JsonObject): JwtBundleKey | null {
  const kid = member(entry, 'kid')
  const { kty, crv, x, y } = entry
  const jwk = readP256Jwk({ kty, crv, x, y })
  return member(entry, 'use') === 'jwt-svid' && isText(kid, 256) && jwk !== null ? { kid, jwk } : null
}
