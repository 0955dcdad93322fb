/** Whether a leaf was issued by one of the trust anchors: one step, no intermediates (reference ids CA-1, X5-3, X5-7, X5-8). */

import { equalBytes } from '../bytes.ts'
import type { ImportP256, VerifyKey } from '../primitives.ts'
import type { EpochSeconds } from '../time.ts'
import type { PeerCertificate } from './certificate.ts'

/** A signing authority's certificate: it always has a subject key identifier. */
export type AnchorCertificate = PeerCertificate & { readonly subjectKeyId: string }

export interface ChainProblem {
  /**
   * `chain_issuer_unknown`, `chain_anchor_profile`, `chain_signature`, `chain_trust_domain`, `chain_outlives_issuer`,
   * `certificate_expired`, `certificate_not_yet_valid`, `anchor_expired` or `anchor_not_yet_valid`.
   */
  readonly code: string
  readonly message: string
}

/**
 * The anchor that issued the leaf, found by its authority key identifier. Verifies the anchor's profile and self-signature,
 * the leaf's signature, both validities, equal trust domains, and that the leaf does not outlive its issuer.
 * The leaf's own profile is `checkSvidLeaf`.
 */
export function chainsToAnchor(
  leaf: PeerCertificate,
  anchors: readonly PeerCertificate[],
  now: EpochSeconds,
  importP256: ImportP256,
): AnchorCertificate | ChainProblem {
  if (now > leaf.notAfter) return problem('certificate_expired', `notAfter was ${leaf.notAfter}`)
  if (now < leaf.notBefore) return problem('certificate_not_yet_valid', `notBefore is ${leaf.notBefore}`)
  const anchor = anchors.find((candidate) => issued(candidate, leaf))
  if (anchor === undefined)
    return problem('chain_issuer_unknown', `no anchor has key id ${leaf.authorityKeyId ?? 'none'}`)
  const wrong = checkAnchor(anchor, now, importP256)
  if (wrong !== null) return wrong
  if (!signedBy(leaf, verifiedKey(anchor, importP256)))
    return problem('chain_signature', 'the signature is not by the anchor')
  if (leaf.spiffeId !== null && leaf.spiffeId.trustDomain !== anchor.spiffeId?.trustDomain) {
    return problem('chain_trust_domain', `the anchor is of ${anchor.spiffeId?.trustDomain}`)
  }
  if (leaf.notAfter > anchor.notAfter) return problem('chain_outlives_issuer', `the anchor ends at ${anchor.notAfter}`)
  return anchor as AnchorCertificate
}

/**
 * Null when the certificate is a trust anchor: version 3, self-signed P-256, critical CA flag, critical keyCertSign,
 * a subject key identifier, the trust domain as its only URI name, valid now. `anchor_*` or `chain_anchor_profile`.
 */
export function checkAnchor(anchor: PeerCertificate, now: EpochSeconds, importP256: ImportP256): ChainProblem | null {
  const { basicConstraints, keyUsage, unknownCritical } = anchor.extensions
  const profile =
    anchor.version === 3 &&
    anchor.serialValid &&
    basicConstraints?.ca === true &&
    basicConstraints.critical &&
    keyUsage?.keyCertSign === true &&
    keyUsage.critical &&
    unknownCritical.length === 0 &&
    anchor.subjectKeyId !== null &&
    anchor.spiffeId !== null &&
    anchor.spiffeId.segments.length === 0
  if (!profile) return problem('chain_anchor_profile', 'the issuer is not a signing certificate of a trust domain')
  if (now > anchor.notAfter) return problem('anchor_expired', `the anchor ended at ${anchor.notAfter}`)
  if (now < anchor.notBefore) return problem('anchor_not_yet_valid', `the anchor starts at ${anchor.notBefore}`)
  return verifiedKey(anchor, importP256) === null
    ? problem('chain_anchor_profile', 'the issuer is not self-signed')
    : null
}

// Anchors are few and immutable, and every handshake needs one: importing the key and checking the self-signature
// once per certificate takes two thirds off the cost of a chain. Entries go when the certificate value goes.
const verified = new WeakMap<ImportP256, WeakMap<PeerCertificate, VerifyKey | null>>()

/** The anchor's key if the anchor signed itself, else null. */
function verifiedKey(anchor: PeerCertificate, importP256: ImportP256): VerifyKey | null {
  let keys = verified.get(importP256)
  if (keys === undefined) verified.set(importP256, (keys = new WeakMap()))
  let key = keys.get(anchor)
  if (key === undefined) keys.set(anchor, (key = selfSignedKey(anchor, importP256)))
  return key
}

function selfSignedKey(anchor: PeerCertificate, importP256: ImportP256): VerifyKey | null {
  const key = anchor.publicJwk === null ? null : importP256(anchor.publicJwk)
  return key !== null && equalBytes(anchor.issuerName, anchor.subjectName) && signedBy(anchor, key) ? key : null
}

function issued(anchor: PeerCertificate, leaf: PeerCertificate): boolean {
  return (
    leaf.authorityKeyId !== null &&
    leaf.authorityKeyId === anchor.subjectKeyId &&
    equalBytes(leaf.issuerName, anchor.subjectName)
  )
}

function signedBy(certificate: PeerCertificate, key: VerifyKey | null): boolean {
  return key !== null && certificate.signature !== null && key.verify(certificate.tbs, certificate.signature)
}

function problem(code: string, message: string): ChainProblem {
  return { code, message }
}
