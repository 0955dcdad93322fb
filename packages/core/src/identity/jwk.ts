/** P-256 public keys as JSON Web Keys: strict reading, thumbprint and key identifiers. */

import { concat, fromBase64url, hex, toBase64url, utf8 } from '../bytes.ts'
import type { P256Jwk, Sha256 } from '../primitives.ts'

const MEMBERS = ['kty', 'crv', 'x', 'y']

/** The key when the value has exactly the four public members in canonical form, else null. The point is not checked. */
export function readP256Jwk(value: unknown): P256Jwk | null {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return null
  const { kty, crv, x, y } = value as Readonly<Record<string, unknown>>
  if (kty !== 'EC' || crv !== 'P-256' || !isCoordinate(x) || !isCoordinate(y)) return null
  return Object.keys(value).every((name) => MEMBERS.includes(name)) ? { kty, crv, x, y } : null
}

function isCoordinate(value: unknown): value is string {
  return typeof value === 'string' && value.length === 43 && fromBase64url(value)?.length === 32
}

/** RFC 7638 thumbprint with SHA-256, base64url: the fingerprint by which a recovery root is pinned. */
export function jwkThumbprint(jwk: P256Jwk, sha256: Sha256): string {
  return toBase64url(sha256(utf8(`{"crv":"P-256","kty":"EC","x":"${jwk.x}","y":"${jwk.y}"}`)))
}

/** SubjectPublicKeyInfo up to the coordinates: id-ecPublicKey with prime256v1, an uncompressed point (RFC 5480 §2). */
const SPKI_HEAD = fromBase64url('MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE')!
const SPKI_LENGTH = SPKI_HEAD.length + 64

/** The key of a DER SubjectPublicKeyInfo, or null for any other key type, curve or point form. */
export function p256JwkOfSpki(spki: Uint8Array): P256Jwk | null {
  if (spki.length !== SPKI_LENGTH) return null
  for (let i = 0; i < SPKI_HEAD.length; i++) if (spki[i] !== SPKI_HEAD[i]) return null
  const point = spki.subarray(SPKI_HEAD.length)
  return { kty: 'EC', crv: 'P-256', x: toBase64url(point.subarray(0, 32)), y: toBase64url(point.subarray(32)) }
}

/** The DER SubjectPublicKeyInfo of a key that `readP256Jwk` accepted. Throws a RangeError on other coordinates. */
export function spkiOfP256Jwk(jwk: P256Jwk): Uint8Array {
  const x = fromBase64url(jwk.x)
  const y = fromBase64url(jwk.y)
  if (x?.length !== 32 || y?.length !== 32) throw new RangeError('expected coordinates of 32 bytes in base64url')
  return concat(SPKI_HEAD, x, y)
}

/** Subject key identifier: lowercase hex of the leftmost 160 bits of SHA-256 of the point (RFC 7093 §2 method 1). */
export function keyIdOf(jwk: P256Jwk, sha256: Sha256): string {
  return hex(sha256(spkiOfP256Jwk(jwk).subarray(SPKI_HEAD.length - 1)).subarray(0, 20))
}
