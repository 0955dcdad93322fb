/**
 * Certificate revocation lists as they are read back (RFC 5280 §5, §6.3): complete lists of one issuer, with its own strict
 * DER reader. Our own parts decide by the signed trust state; the list is for verifiers that are not ours.
 */

import { equalBytes, hex } from '../bytes.ts'
import { isDoorwardError } from '../error.ts'
import type { ImportP256 } from '../primitives.ts'
import type { EpochSeconds } from '../time.ts'
import type { PeerCertificate } from './certificate.ts'
import { EXTENSION, rawExtensions, readAuthorityKey } from './certificate-extensions.ts'
import type { RawExtension } from './certificate-extensions.ts'
import { checkIssuer, verifiedKey } from './certification-path.ts'
import { derError, expectTag, readDer, TAG } from './der.ts'
import type { DerNode } from './der.ts'
import { expectSameAlgorithm, readSigned, readTime } from './signed-der.ts'

/** Why a certificate was revoked (RFC 5280 §5.3.1). Unspecified is no reason. */
export const REVOCATION_REASONS = {
  key_compromise: 1,
  ca_compromise: 2,
  affiliation_changed: 3,
  superseded: 4,
  cessation_of_operation: 5,
  certificate_hold: 6,
  privilege_withdrawn: 9,
  aa_compromise: 10,
} as const

export type RevocationReason = keyof typeof REVOCATION_REASONS

export interface RevokedSerial {
  /** Lowercase hex of the magnitude, without a sign octet, as in `PeerCertificate`. */
  readonly serial: string
  readonly revokedAt: EpochSeconds
  readonly reason: RevocationReason | null
}

/** One list as its DER says, nothing of it verified. */
export interface RevocationList {
  /** DER of the name. */
  readonly issuerName: Uint8Array
  /** Lowercase hex. */
  readonly authorityKeyId: string
  readonly number: bigint
  readonly thisUpdate: EpochSeconds
  readonly nextUpdate: EpochSeconds
  /** By serial. */
  readonly revoked: ReadonlyMap<string, RevokedSerial>
  /** The signed bytes. */
  readonly tbs: Uint8Array
  /** r ‖ s; null for any algorithm but ecdsa-with-SHA256. */
  readonly signature: Uint8Array | null
}

export interface CrlProblem {
  /** `crl_too_large`, `crl_malformed`, `crl_issuer`, `crl_signature`, `crl_expired`, `crl_not_yet_valid`, or as `checkIssuer`. */
  readonly code: string
  readonly message: string
}

export const CRL_EXTENSION = { number: '2.5.29.20', reason: '2.5.29.21' } as const
export const CRL_LIMITS = { bytes: 8 * 1024 * 1024, revoked: 65_536 } as const

/**
 * Reads one DER list. `crl_too_large` or `crl_malformed`: also a list that is not version 2, has no number, no key
 * identifier or no end, or that covers less or more than all certificates of its issuer. Never throws on input.
 */
export function readCrl(der: Uint8Array): RevocationList | CrlProblem {
  if (der.length > CRL_LIMITS.bytes)
    return { code: 'crl_too_large', message: `${der.length} bytes, at most ${CRL_LIMITS.bytes}` }
  try {
    return listOf(new Uint8Array(der))
  } catch (error) {
    if (!isDoorwardError(error, 'der_invalid')) throw error
    return { code: 'crl_malformed', message: error.message }
  }
}

/** Null when the anchor signed the list, may sign lists, and the list is current (RFC 5280 §6.3.3). */
export function checkCrl(
  list: RevocationList,
  anchor: PeerCertificate,
  now: EpochSeconds,
  importP256: ImportP256,
): CrlProblem | null {
  const issuer = checkIssuer(anchor, now, importP256)
  if (issuer !== null) return issuer
  if (!equalBytes(list.issuerName, anchor.subjectName) || list.authorityKeyId !== anchor.subjectKeyId)
    return { code: 'crl_issuer', message: `the list is of the key ${list.authorityKeyId}` }
  if (anchor.extensions.keyUsage?.crlSign === false)
    return { code: 'crl_issuer', message: 'the issuer may not sign revocation lists' }
  const key = verifiedKey(anchor, importP256)
  if (key === null || list.signature === null || !key.verify(list.tbs, list.signature))
    return { code: 'crl_signature', message: 'the signature is not by the anchor' }
  if (now < list.thisUpdate) return { code: 'crl_not_yet_valid', message: `thisUpdate is ${list.thisUpdate}` }
  if (now > list.nextUpdate) return { code: 'crl_expired', message: `nextUpdate was ${list.nextUpdate}` }
  return null
}

function listOf(der: Uint8Array): RevocationList {
  const signed = readSigned(der, 'a revocation list')
  const [version, innerAlgorithm, issuer, thisUpdate, nextUpdate, ...rest] = signed.fields
  const { content } = expectTag(version, TAG.integer, 'a version')
  if (content.length !== 1 || content[0] !== 1) throw derError('a version other than 2')
  expectSameAlgorithm(signed, innerAlgorithm)
  const entries = rest[0]?.tag === TAG.sequence ? rest.shift() : undefined
  const [extensions] = rest
  if (rest.length !== 1 || extensions?.tag !== 0xa0 || extensions.children.length !== 1)
    throw derError('a list without extensions, or with unknown fields')
  return {
    issuerName: expectTag(issuer, TAG.sequence, 'an issuer').bytes,
    thisUpdate: readTime(present(thisUpdate)),
    nextUpdate: readTime(present(nextUpdate)),
    ...readListExtensions(rawExtensions(extensions.children[0]!)),
    revoked: entries === undefined ? new Map() : readEntries(entries),
    tbs: signed.tbs,
    signature: signed.signature,
  }
}

function present(node: DerNode | undefined): DerNode {
  if (node === undefined) throw derError('a field is missing')
  return node
}

/** A list of changes alone; one of some certificates or of other issuers. As any critical extension, these change its meaning. */
const OTHER_KINDS: readonly string[] = ['2.5.29.27', '2.5.29.28']

function readListExtensions(raw: ReadonlyMap<string, RawExtension>): { number: bigint; authorityKeyId: string } {
  const number = raw.get(CRL_EXTENSION.number)
  const authority = raw.get(EXTENSION.authorityKeyId)
  if ([...raw].some(([oid, { critical }]) => critical || OTHER_KINDS.includes(oid)))
    throw derError('another kind of list')
  if (number === undefined || authority === undefined) throw derError('a list without number or key identifier')
  const { content } = expectTag(readDer(number.value), TAG.integer, 'a list number')
  const { keyId } = readAuthorityKey(readDer(authority.value), authority.critical)
  if ((content[0]! & 0x80) !== 0 || content.length > 20 || keyId === null)
    throw derError('a list number or key identifier in another form')
  return { number: BigInt(`0x${hex(content)}`), authorityKeyId: keyId }
}

function readEntries({ children }: DerNode): ReadonlyMap<string, RevokedSerial> {
  if (children.length === 0 || children.length > CRL_LIMITS.revoked) throw derError(`${children.length} serials`)
  const revoked = new Map<string, RevokedSerial>()
  for (const child of children) {
    const entry = readEntry(child)
    if (revoked.has(entry.serial)) throw derError(`serial ${entry.serial} twice`)
    revoked.set(entry.serial, entry)
  }
  return revoked
}

function readEntry(node: DerNode): RevokedSerial {
  const [serial, revokedAt, extensions, ...more] = expectTag(node, TAG.sequence, 'a revoked certificate').children
  if (more.length > 0) throw derError('a revoked certificate with unknown fields')
  const { content } = expectTag(serial, TAG.integer, 'a serial number')
  const magnitude = content.length > 1 && content[0] === 0 ? content.subarray(1) : content
  return {
    serial: hex(magnitude),
    revokedAt: readTime(present(revokedAt)),
    reason: extensions === undefined ? null : readReason(rawExtensions(extensions)),
  }
}

const ENUMERATED = 0x0a

function readReason(raw: ReadonlyMap<string, RawExtension>): RevocationReason | null {
  if ([...raw.values()].some(({ critical }) => critical)) throw derError('a critical extension of a serial')
  const found = raw.get(CRL_EXTENSION.reason)
  if (found === undefined) return null
  const { content } = expectTag(readDer(found.value), ENUMERATED, 'a reason')
  const known = Object.entries(REVOCATION_REASONS).find(([, value]) => content.length === 1 && content[0] === value)
  if (known === undefined) throw derError('a reason that is none')
  return known[0] as RevocationReason
}
