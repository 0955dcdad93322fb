/**
 * RFC 5280 for the only path there is here: a leaf and the trust anchor that signed it (§6.1 with n = 1). No intermediate
 * is ever followed. What SPIFFE asks beyond this is `svid-profile.ts` for the leaf and `chain.ts` for the anchor.
 */

import { equalBytes } from '../bytes.ts'
import type { ImportP256, VerifyKey } from '../primitives.ts'
import type { EpochSeconds } from '../time.ts'
import type { PeerCertificate } from './certificate.ts'

/** What makes a certificate unfit as a leaf: a stable code and the reason. */
export interface LeafProblem {
  readonly code: string
  readonly message: string
}

export interface ChainProblem {
  /**
   * `chain_issuer_unknown`, `chain_anchor_profile`, `chain_signature`, `chain_trust_domain`, `chain_outlives_issuer`,
   * `certificate_expired`, `certificate_not_yet_valid`, `anchor_expired` or `anchor_not_yet_valid`.
   */
  readonly code: string
  readonly message: string
}

/** One demand on a certificate, and the code of what fails it. */
export type LeafRule = readonly [code: string, message: string, holds: (cert: PeerCertificate) => boolean]

/**
 * Null when the certificate may end a path (RFC 5280 §4.1 and §4.2.1, and P-256 alone), whatever its names mean.
 * Not checked here: signature, validity now, issuer (`issuerOf`).
 */
export function checkEndEntity(cert: PeerCertificate): LeafProblem | null {
  return firstProblem(END_ENTITY_RULES, cert)
}

export function firstProblem(rules: readonly LeafRule[], cert: PeerCertificate): LeafProblem | null {
  for (const [code, message, holds] of rules) if (!holds(cert)) return { code, message }
  return null
}

const EMPTY_NAME_BYTES = 2

const END_ENTITY_RULES: readonly LeafRule[] = [
  ['svid_version', 'expected X.509 version 3', ({ version }) => version === 3],
  ['svid_serial', 'expected a positive serial number of at most 20 octets', ({ serialValid }) => serialValid],
  ['svid_signature_algorithm', 'expected ecdsa-with-SHA256', ({ signature }) => signature !== null],
  ['svid_key', 'expected a P-256 public key', ({ publicJwk }) => publicJwk !== null],
  ['svid_issuer', 'expected the name of an issuer', ({ issuerName }) => issuerName.length > EMPTY_NAME_BYTES],
  [
    'svid_critical_extension',
    'a critical extension that is not understood',
    (cert) => cert.extensions.unknownCritical.length === 0,
  ],
  ['svid_ca', 'expected a leaf, got a signing certificate', (cert) => !cert.isCa && !pathLengthGiven(cert)],
  ['svid_key_usage', 'a leaf that may sign certificates', (cert) => cert.extensions.keyUsage?.keyCertSign !== true],
  ['svid_san_critical', 'expected critical names beside an empty subject', sanCriticality],
  ['svid_dns_name', 'a DNS name that is not one', ({ dnsNames }) => dnsNames.every(isHostName)],
  ['svid_validity', 'expected notBefore before notAfter', ({ notBefore, notAfter }) => notBefore < notAfter],
]

function pathLengthGiven(cert: PeerCertificate): boolean {
  return (cert.extensions.basicConstraints?.pathLength ?? null) !== null
}

function sanCriticality({ subjectName, extensions: { subjectAltNames } }: PeerCertificate): boolean {
  return subjectName.length > EMPTY_NAME_BYTES || subjectAltNames === null || subjectAltNames.critical
}

const HOST_NAME = /^(?:\*\.)?[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$/i
const LAST_LABEL_NUMBER = /(?:^|\.)\d+$/
const MAX_HOST_NAME = 253

/** The preferred name syntax (RFC 5280 §4.2.1.6), with a wildcard as whole first label. An address is not a name. */
function isHostName(name: string): boolean {
  return name.length <= MAX_HOST_NAME && HOST_NAME.test(name) && !LAST_LABEL_NUMBER.test(name)
}

/**
 * The anchor that issued the leaf, found by its authority key identifier and name. Verifies the issuer's extensions and
 * self-signature, the leaf's signature, both validities, and that the leaf does not outlive its issuer.
 */
export function issuerOf(
  leaf: PeerCertificate,
  anchors: readonly PeerCertificate[],
  now: EpochSeconds,
  importP256: ImportP256,
): PeerCertificate | ChainProblem {
  const outside = leafValidity(leaf, now)
  if (outside !== null) return outside
  const anchor = anchors.find((candidate) => issued(candidate, leaf))
  if (anchor === undefined)
    return problem('chain_issuer_unknown', `no anchor has key id ${leaf.authorityKeyId ?? 'none'}`)
  const wrong = checkIssuer(anchor, now, importP256)
  if (wrong !== null) return wrong
  if (!signedBy(leaf, verifiedKey(anchor, importP256)))
    return problem('chain_signature', 'the signature is not by the anchor')
  if (leaf.notAfter > anchor.notAfter) return problem('chain_outlives_issuer', `the anchor ends at ${anchor.notAfter}`)
  return anchor
}

/**
 * Null while leaf and anchor are valid: all that a path verified before has to be asked again, because times alone change
 * what `issuerOf` says of the same certificates. `certificate_*` or `anchor_*`.
 */
export function pathValidity(leaf: PeerCertificate, anchor: PeerCertificate, now: EpochSeconds): ChainProblem | null {
  return leafValidity(leaf, now) ?? anchorValidity(anchor, now)
}

function leafValidity({ notBefore, notAfter }: PeerCertificate, now: EpochSeconds): ChainProblem | null {
  if (now > notAfter) return problem('certificate_expired', `notAfter was ${notAfter}`)
  return now < notBefore ? problem('certificate_not_yet_valid', `notBefore is ${notBefore}`) : null
}

function anchorValidity({ notBefore, notAfter }: PeerCertificate, now: EpochSeconds): ChainProblem | null {
  if (now > notAfter) return problem('anchor_expired', `the anchor ended at ${notAfter}`)
  return now < notBefore ? problem('anchor_not_yet_valid', `the anchor starts at ${notBefore}`) : null
}

/**
 * Null when the certificate may sign leaves now: version 3, self-signed P-256, critical CA flag, certificate signing
 * where it has key usage, a subject, a subject key identifier, no purposes, and nothing that restricts what it may name:
 * restrictions are not evaluated here, and one that is not evaluated must not be passed over. `anchor_*` or `chain_anchor_profile`.
 */
export function checkIssuer(anchor: PeerCertificate, now: EpochSeconds, importP256: ImportP256): ChainProblem | null {
  if (!signsCertificates(anchor)) return problem('chain_anchor_profile', 'the issuer is not a signing certificate')
  const outside = anchorValidity(anchor, now)
  if (outside !== null) return outside
  return verifiedKey(anchor, importP256) === null
    ? problem('chain_anchor_profile', 'the issuer is not self-signed')
    : null
}

function signsCertificates({ version, serialValid, subjectName, subjectKeyId, extensions }: PeerCertificate): boolean {
  const { basicConstraints, keyUsage, unknownCritical, extendedKeyUsage } = extensions
  return (
    version === 3 &&
    serialValid &&
    subjectName.length > EMPTY_NAME_BYTES &&
    basicConstraints?.ca === true &&
    basicConstraints.critical &&
    keyUsage?.keyCertSign !== false &&
    unknownCritical.length === 0 &&
    // Some verifiers take purposes of an issuer as a limit on its leaves, others do not.
    extendedKeyUsage === null &&
    subjectKeyId !== null &&
    ownKeyId(extensions.authorityKey, subjectKeyId)
  )
}

/** An anchor that names its issuer names itself, by key identifier alone. */
function ownKeyId(named: PeerCertificate['extensions']['authorityKey'], subjectKeyId: string): boolean {
  return named === null || (named.keyId === subjectKeyId && !named.more)
}

// Anchors are few and immutable, and every handshake needs one: importing the key and checking the self-signature
// once per certificate takes two thirds off the cost of a chain. Entries go when the certificate value goes.
const verified = new WeakMap<ImportP256, WeakMap<PeerCertificate, VerifyKey | null>>()

/** The anchor's key if the anchor signed itself, else null. */
export function verifiedKey(anchor: PeerCertificate, importP256: ImportP256): VerifyKey | null {
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
