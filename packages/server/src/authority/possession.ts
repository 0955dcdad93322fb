/** Proof of possession: a signature over keying material that only the two ends of one connection know (RFC 8446 §7.5). */

import type { ImportP256, P256Jwk } from '@doorward/core'

/** True when the key signed the exported keying material. */
export function proves(jwk: P256Jwk, exported: Uint8Array, proof: Uint8Array, importP256: ImportP256): boolean {
  return importP256(jwk)?.verify(exported, proof) === true
}
