/** What the rules need from the platform, as arguments: hash, signature check and randomness. */

/** SHA-256 (FIPS 180-4): 32 bytes. */
export type Sha256 = (data: Uint8Array) => Uint8Array

/** HMAC-SHA-256 (RFC 2104): 32 bytes. */
export type HmacSha256 = (key: Uint8Array, data: Uint8Array) => Uint8Array

/** Cryptographically strong random bytes. */
export type RandomBytes = (length: number) => Uint8Array

/** A public key of the platform, opaque to the rules, already imported and bound to one algorithm. */
export interface VerifyKey {
  /**
   * True when `signature` over `data` is valid. Never throws: malformed is false.
   * ES256 signatures are the 64-byte r ‖ s of RFC 7518 §3.4; Ed25519 the 64 bytes of RFC 8032.
   */
  verify(data: Uint8Array, signature: Uint8Array): boolean
}

/** A private key in custody. Asynchronous because custody may be a token or a service. */
export interface SignKey {
  /** ES256: 64-byte r ‖ s; Ed25519: 64 bytes. Throws when custody is unavailable. */
  sign(data: Uint8Array): Promise<Uint8Array>
}

/** An elliptic-curve P-256 public key (RFC 7517, RFC 7518 §6.2); coordinates are 32 bytes in base64url. */
export interface P256Jwk {
  readonly kty: 'EC'
  readonly crv: 'P-256'
  readonly x: string
  readonly y: string
}

/** Imports a P-256 public key; null when the point is not on the curve or malformed. */
export type ImportP256 = (jwk: P256Jwk) => VerifyKey | null
