/**
 * RFC 5280 §6.1 for certificates of somebody else's authority, which may have intermediates and other keys than ours:
 * the path is the one that was sent, in its order; none is searched for. Used where a workload proves possession of a
 * certificate that it has already; never for a certificate of this trust domain.
 */

import { equalBytes } from '../bytes.ts'
import type { EpochSeconds } from '../time.ts'
import type { PeerCertificate } from './certificate.ts'
import { firstProblem } from './certification-path.ts'
import type { ChainProblem, LeafProblem, LeafRule } from './certification-path.ts'

export const foreignPathLength = 4

/** SHA-2 with RSA PKCS #1 v1.5 (RFC 4055 §5), with ECDSA (RFC 5758 §3.2), and Ed25519 (RFC 8410 §3). */
const SIGNATURES: ReadonlySet<string> = new Set([
  '1.2.840.113549.1.1.11',
  '1.2.840.113549.1.1.12',
  '1.2.840.113549.1.1.13',
  '1.2.840.10045.4.3.2',
  '1.2.840.10045.4.3.3',
  '1.2.840.10045.4.3.4',
  '1.3.101.112',
])
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2'
const ANY_PURPOSE = '2.5.29.37.0'

export interface ForeignPathCheck {
  readonly now: EpochSeconds
  /** Whether the key of `issuer` signed `certificate`, and is of a kind and size that is accepted. Never throws. */
  readonly signedBy: (certificate: PeerCertificate, issuer: PeerCertificate) => boolean
}

/**
 * The anchor to which the chain leads: leaf first, each issued by the next, the last by an anchor or one itself; at most
 * four. Every certificate is valid now and has nothing critical that is not understood; signatures are checked from
 * the anchor down, so that no key that nobody vouches for is used. Codes: `chain_length`, `foreign_leaf_profile`,
 * `foreign_issuer_profile`, `chain_issuer_unknown`, `chain_signature`, `certificate_expired`, `certificate_not_yet_valid`.
 * Not checked: revocation, and what the names mean.
 */
export function foreignPath(
  chain: readonly PeerCertificate[],
  anchors: readonly PeerCertificate[],
  check: ForeignPathCheck,
): { readonly leaf: PeerCertificate; readonly anchor: PeerCertificate } | ChainProblem {
  const [leaf, ...above] = withoutAnchor(chain, anchors)
  if (leaf === undefined || chain.length > foreignPathLength)
    return { code: 'chain_length', message: `expected 1 to ${foreignPathLength} certificates below an anchor` }
  const wrong = firstProblem(LEAF_RULES, leaf) ?? timeProblem(leaf, check.now) ?? issuersProblem(above, check.now)
  if (wrong !== null) return wrong
  const unlinked = above.some((issuer, i) => !names(issuer, above[i - 1] ?? leaf))
  const top = above.at(-1) ?? leaf
  const candidates = unlinked ? [] : anchors.filter((anchor) => names(anchor, top))
  if (candidates.length === 0)
    return { code: 'chain_issuer_unknown', message: 'the certificates do not lead to an anchor in their order' }
  for (const anchor of candidates) {
    if (issuerProblem(anchor, above.length, check.now) !== null) continue
    if (signedDownwards([leaf, ...above, anchor], check)) return { leaf, anchor }
  }
  return { code: 'chain_signature', message: 'no valid anchor of that name has signed the certificates' }
}

/** Whoever sends the anchor too says nothing by it. */
function withoutAnchor(
  chain: readonly PeerCertificate[],
  anchors: readonly PeerCertificate[],
): readonly PeerCertificate[] {
  const last = chain.at(-1)
  const isAnchor = last !== undefined && anchors.some(({ der }) => equalBytes(der, last.der))
  return isAnchor ? chain.slice(0, -1) : chain
}

function signedDownwards(path: readonly PeerCertificate[], { signedBy }: ForeignPathCheck): boolean {
  for (let i = path.length - 1; i > 0; i--) {
    const certificate = path[i - 1]!
    if (!SIGNATURES.has(certificate.signatureAlgorithm) || !signedBy(certificate, path[i]!)) return false
  }
  return true
}

function names(issuer: PeerCertificate, issued: PeerCertificate): boolean {
  const keys = issued.authorityKeyId === null || issuer.subjectKeyId === null
  return (keys || issued.authorityKeyId === issuer.subjectKeyId) && equalBytes(issued.issuerName, issuer.subjectName)
}

const EMPTY_NAME_BYTES = 2

const LEAF_RULES: readonly LeafRule[] = [
  ['foreign_leaf_profile', 'expected X.509 version 3', ({ version }) => version === 3],
  ['foreign_leaf_profile', 'expected a positive serial number', ({ serialValid }) => serialValid],
  ['foreign_leaf_profile', 'a critical extension that is not understood', understood],
  [
    'foreign_leaf_profile',
    'expected an end entity',
    ({ isCa, extensions }) => !isCa && extensions.keyUsage?.keyCertSign !== true,
  ],
  [
    'foreign_leaf_profile',
    'expected a key for signatures',
    ({ extensions }) => extensions.keyUsage?.digitalSignature !== false,
  ],
  ['foreign_leaf_profile', 'expected clientAuth among the purposes', forClients],
]

function understood({ extensions }: PeerCertificate): boolean {
  return extensions.unknownCritical.length === 0
}

function forClients({ extensions: { extendedKeyUsage } }: PeerCertificate): boolean {
  return extendedKeyUsage === null || extendedKeyUsage.includes(CLIENT_AUTH) || extendedKeyUsage.includes(ANY_PURPOSE)
}

function issuersProblem(above: readonly PeerCertificate[], now: EpochSeconds): LeafProblem | null {
  for (const [below, issuer] of above.entries()) {
    const problem = issuerProblem(issuer, below, now)
    if (problem !== null) return problem
  }
  return null
}

/** `below`: how many issuers lie between it and the leaf. */
function issuerProblem(issuer: PeerCertificate, below: number, now: EpochSeconds): LeafProblem | null {
  const { version, subjectName, extensions } = issuer
  const { basicConstraints, keyUsage } = extensions
  const fits =
    version === 3 &&
    subjectName.length > EMPTY_NAME_BYTES &&
    basicConstraints?.ca === true &&
    basicConstraints.critical &&
    (basicConstraints.pathLength ?? below) >= below &&
    keyUsage?.keyCertSign !== false &&
    understood(issuer) &&
    forClients(issuer)
  return fits
    ? timeProblem(issuer, now)
    : { code: 'foreign_issuer_profile', message: 'an issuer that may not sign this path' }
}

function timeProblem({ notBefore, notAfter }: PeerCertificate, now: EpochSeconds): LeafProblem | null {
  if (now > notAfter) return { code: 'certificate_expired', message: `notAfter was ${notAfter}` }
  return now < notBefore ? { code: 'certificate_not_yet_valid', message: `notBefore is ${notBefore}` } : null
}
