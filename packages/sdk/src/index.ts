/** Identity, renewal and signed calls for programs. */

// platform
export { systemClock } from './platform/clock.ts'
export { ed25519KeyPairOf, generateEd25519, importEd25519 } from './platform/ed25519.ts'
export type { Ed25519KeyPair } from './platform/ed25519.ts'
export { hmacSha256, jwkThumbprint, randomBytes, sha256 } from './platform/hash.ts'
export { generateP256, importP256, p256KeyPairOf, signKeyOf } from './platform/p256.ts'
export type { P256KeyPair } from './platform/p256.ts'
