/** Public keys that a caller brings itself: which kinds are read, and their names (RFC 7517, RFC 7638). */

import { fromBase64url, toBase64url, utf8 } from '../bytes.ts'
import type { JsonObject, JsonValue } from '../json-value.ts'
import { isJsonObject, member } from '../json/object.ts'
import type { Sha256, VerifyKey } from '../primitives.ts'

/** What proofs of possession may be signed with; asymmetric alone (RFC 9449 §11.6). */
export const proofAlgorithms = ['ES256', 'EdDSA', 'ES384', 'PS256', 'RS256'] as const
export type ProofAlgorithm = (typeof proofAlgorithms)[number]

/** A public key: its required members and nothing else. */
export type PublicJwk = Readonly<Record<string, string>>

/** Imports a public key for one algorithm; null when it is not on its curve, too small or too large. */
export type ImportPublicKey = (algorithm: ProofAlgorithm, jwk: PublicJwk) => VerifyKey | null

interface Shape {
  /** The required members in lexicographic order: what a thumbprint is over (RFC 7638 §3.2). */
  readonly members: readonly string[]
  readonly fixed: Readonly<Record<string, string>>
  /** Bytes of each number; null where the key decides. */
  readonly bytes: number | null
}

const rsa: Shape = { members: ['e', 'kty', 'n'], fixed: { kty: 'RSA' }, bytes: null }
const shapes: Readonly<Record<ProofAlgorithm, Shape>> = {
  ES256: { members: ['crv', 'kty', 'x', 'y'], fixed: { kty: 'EC', crv: 'P-256' }, bytes: 32 },
  ES384: { members: ['crv', 'kty', 'x', 'y'], fixed: { kty: 'EC', crv: 'P-384' }, bytes: 48 },
  EdDSA: { members: ['crv', 'kty', 'x'], fixed: { kty: 'OKP', crv: 'Ed25519' }, bytes: 32 },
  PS256: rsa,
  RS256: rsa,
}

/** What says something of a public key without being part of it; what it says has to agree. */
const ABOUT: ReadonlySet<string> = new Set(['alg', 'ext', 'key_ops', 'kid', 'use'])
const MOST_BYTES = 1024

/**
 * The key when the value is a public key for the algorithm, in canonical form; null for a private or symmetric key, for any
 * member that is not known, and for one that is meant for something else.
 */
export function readPublicJwk(value: JsonValue | undefined, algorithm: ProofAlgorithm): PublicJwk | null {
  if (!isJsonObject(value)) return null
  const { members, fixed, bytes } = shapes[algorithm]
  if (!Object.keys(value).every((name) => members.includes(name) || ABOUT.has(name))) return null
  if ((member(value, 'alg') ?? algorithm) !== algorithm || (member(value, 'use') ?? 'sig') !== 'sig') return null
  const jwk: Record<string, string> = {}
  for (const name of members) {
    const text = member(value, name)
    if (typeof text !== 'string' || !isPart(text, fixed[name], bytes)) return null
    jwk[name] = text
  }
  return verifies(value) ? jwk : null
}

function isPart(text: string, fixed: string | undefined, bytes: number | null): boolean {
  if (fixed !== undefined) return text === fixed
  const read = fromBase64url(text)
  if (read === null || read.length === 0 || read.length > MOST_BYTES) return false
  return bytes === null ? read[0] !== 0 : read.length === bytes
}

function verifies(value: JsonObject): boolean {
  const operations = member(value, 'key_ops')
  return operations === undefined || (Array.isArray(operations) && operations.includes('verify'))
}

/** RFC 7638 thumbprint with SHA-256, base64url, of a key that `readPublicJwk` read. */
export function publicJwkThumbprint(jwk: PublicJwk, sha256: Sha256): string {
  const names = Object.keys(jwk).toSorted()
  return toBase64url(sha256(utf8(`{${names.map((name) => `"${name}":"${jwk[name]}"`).join(',')}}`)))
}
