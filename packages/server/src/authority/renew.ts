/** Renewal: a workload that holds a live certificate gets the next one for a new key (reference ids RV-5, BS-2). */

import { equalBytes, p256JwkOfSpki } from '@doorward/core'
import type { Secret } from '@doorward/core'
import type { AuthorityContext } from './context.ts'
import { issueCertificate } from './issue.ts'
import type { IssueDependencies, IssuedCertificate } from './issue.ts'
import { issueWithState } from './join-state.ts'
import type { IssuedCertificateRow } from './ports.ts'
import { proves } from './possession.ts'
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
  /** What it was given with its last certificate; null when it has none. */
  readonly joinState: Secret | null
  /** Keying material of this connection under `renewLabel`. */
  readonly exported: Uint8Array
}

export interface Renewed extends IssuedCertificate {
  /** Null for a certificate that belongs to no instance. */
  readonly joinState: Secret | null
}

/**
 * Refusals: `request_invalid` (not P-256, or the old key again), `proof_invalid`, and those of `issueWithState`.
 */
export async function renew(
  dependencies: IssueDependencies,
  request: RenewRequest,
): Promise<Renewed | AuthorityRefusal> {
  const { context } = dependencies
  const { publicKey, currentPublicKey, proof, exported, id, fingerprint, joinState } = request
  const jwk = p256JwkOfSpki(publicKey)
  if (jwk === null) return refuse('request_invalid', 'expected a P-256 public key')
  if (equalBytes(publicKey, currentPublicKey))
    return refuse('request_invalid', 'expected a new key, got the one in use')
  if (!proves(jwk, exported, proof, context.importP256)) {
    return refuse('proof_invalid', 'expected a proof by the new key over this connection')
  }
  const current = await context.store.issuance.findByFingerprint(fingerprint)
  const instance = current === null ? null : await instanceOf(context, current)
  const what = { id, publicKey, occasion: 'renew', predecessor: current?.serial ?? null }
  if (instance === null) {
    const issued = await issueCertificate(dependencies, { ...what, instance })
    return 'refused' in issued ? issued : { ...issued, joinState: null }
  }
  return issueWithState(dependencies, { ...what, instance, joinState })
}

/** A certificate from before there were instances belongs to the only one that there is, as long as that has no join state. */
async function instanceOf({ store }: AuthorityContext, { id, instance }: IssuedCertificateRow): Promise<string | null> {
  if (instance !== null) return instance
  const [only, ...others] = await store.instances.list(id)
  const stateless = only?.current === null && only.offered === null && only.locked === null
  return stateless && others.length === 0 ? only.instance : null
}
