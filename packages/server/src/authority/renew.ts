/** Renewal: a workload that holds a live certificate gets the next one for a new key (reference id RV-5). */

import { equalBytes, p256JwkOfSpki } from '@doorward/core'
import type { ImportP256 } from '@doorward/core'
import { issueCertificate } from './issue.ts'
import type { IssueDependencies, IssuedCertificate } from './issue.ts'
import { refuse } from './refusal.ts'
import type { AuthorityRefusal } from './refusal.ts'

/** TLS exporter label (RFC 8446 §7.5) over which the new key proves itself. */
export const renewLabel = 'EXPORTER-doorward-renew'

export interface RenewRequest {
  /** From the certificate of this connection. */
  readonly id: string
  /** SHA-256 of that certificate, base64url. */
  readonly fingerprint: string
  readonly currentPublicKey: Uint8Array
  /** The new key: DER SubjectPublicKeyInfo. */
  readonly publicKey: Uint8Array
  /** ES256 by the new key over `exported`. */
  readonly proof: Uint8Array
  /** Keying material of this connection under `renewLabel`. */
  readonly exported: Uint8Array
}

/** Refusals: `request_invalid` (not P-256, or the old key again), `proof_invalid`, and those of `issueCertificate`. */
export async function renew(
  dependencies: IssueDependencies,
  request: RenewRequest,
): Promise<IssuedCertificate | AuthorityRefusal> {
  const { publicKey, currentPublicKey, proof, exported, id, fingerprint } = request
  const jwk = p256JwkOfSpki(publicKey)
  if (jwk === null) return refuse('request_invalid', 'expected a P-256 public key')
  if (equalBytes(publicKey, currentPublicKey))
    return refuse('request_invalid', 'expected a new key, got the one in use')
  if (!proves(jwk, exported, proof, dependencies.context.importP256)) {
    return refuse('proof_invalid', 'expected a proof by the new key over this connection')
  }
  const current = await dependencies.context.store.issuance.findByFingerprint(fingerprint)
  const { instance = null, serial: predecessor = null } = current ?? {}
  return issueCertificate(dependencies, { id, publicKey, occasion: 'renew', instance, predecessor })
}

/** True when the key signed the exported keying material. */
export function proves(
  jwk: Parameters<ImportP256>[0],
  exported: Uint8Array,
  proof: Uint8Array,
  importP256: ImportP256,
): boolean {
  return importP256(jwk)?.verify(exported, proof) === true
}
