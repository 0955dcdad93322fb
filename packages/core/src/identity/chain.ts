/** Whether a leaf was issued by one of the trust anchors: one step, no intermediates (reference ids CA-1, X5-3, X5-7, X5-8). */

import type { ImportP256 } from '../primitives.ts'
import type { EpochSeconds } from '../time.ts'
import type { PeerCertificate } from './certificate.ts'
import { checkIssuer, issuerOf } from './certification-path.ts'
import type { ChainProblem } from './certification-path.ts'

/** A signing authority's certificate: it always has a subject key identifier. */
export type AnchorCertificate = PeerCertificate & { readonly subjectKeyId: string }

/**
 * The anchor that issued the leaf, found by its authority key identifier. Verifies the path (`issuerOf`), the anchor's
 * profile, and equal trust domains. The leaf's own profile is `checkSvidLeaf`.
 */
export function chainsToAnchor(
  leaf: PeerCertificate,
  anchors: readonly PeerCertificate[],
  now: EpochSeconds,
  importP256: ImportP256,
): AnchorCertificate | ChainProblem {
  const anchor = issuerOf(leaf, anchors, now, importP256)
  if ('code' in anchor) return anchor
  if (!signsForTrustDomain(anchor)) return profileProblem()
  if (leaf.spiffeId !== null && leaf.spiffeId.trustDomain !== anchor.spiffeId?.trustDomain) {
    return { code: 'chain_trust_domain', message: `the anchor is of ${anchor.spiffeId?.trustDomain}` }
  }
  return anchor as AnchorCertificate
}

/**
 * Null when the certificate is a trust anchor: fit to sign leaves (`checkIssuer`), with critical keyCertSign and the
 * trust domain as its only URI name. `anchor_*` or `chain_anchor_profile`.
 */
export function checkAnchor(anchor: PeerCertificate, now: EpochSeconds, importP256: ImportP256): ChainProblem | null {
  return signsForTrustDomain(anchor) ? checkIssuer(anchor, now, importP256) : profileProblem()
}

function signsForTrustDomain({ extensions: { keyUsage }, spiffeId }: PeerCertificate): boolean {
  return keyUsage?.keyCertSign === true && keyUsage.critical && spiffeId !== null && spiffeId.segments.length === 0
}

function profileProblem(): ChainProblem {
  return { code: 'chain_anchor_profile', message: 'the issuer is not a signing certificate of a trust domain' }
}
