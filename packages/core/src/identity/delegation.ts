/** Delegations: the recovery root's statement which keys may sign trust state (reference id CA-4). */

import { toBase64url, utf8 } from '../bytes.ts'
import { scanJson } from '../json/scan.ts'
import type { JsonValue } from '../json-value.ts'
import type { ImportP256, P256Jwk, Sha256, SignKey, VerifyKey } from '../primitives.ts'
import type { EpochSeconds } from '../time.ts'
import { jwkThumbprint, readP256Jwk } from './jwk.ts'
import {
  payloadBytes,
  refusal,
  signPayload,
  signatureHolds,
  signedBytes,
  statementSkewSeconds,
  statementVersion,
} from './signed-statement.ts'
import type { SignedPayload, StatementRefusal } from './signed-statement.ts'
import { distinct, exactObject, isCount, isSeconds, isText, readList } from './strict-members.ts'
import type { Delegation } from './trust-state.ts'

/** On the wire: the statement and the root's public key, which must have the pinned fingerprint. */
export interface SignedDelegation extends SignedPayload {
  readonly root: P256Jwk
}

/** A delegation whose signature holds. */
export interface OpenedDelegation {
  readonly delegation: Delegation
  /** What was verified. */
  readonly signed: SignedDelegation
  /** SHA-256 of the signed bytes, base64url. */
  readonly digest: string
  /** Verifies trust state and heartbeats: true for what any of the delegated keys has signed. */
  readonly key: VerifyKey
}

export interface DelegationCheck {
  /** RFC 7638 thumbprint of the pinned recovery root, base64url. */
  readonly rootFingerprint: string
  readonly trustDomain: string
  readonly now: EpochSeconds
  /** One that `openDelegation` returned before: the same text under the same root is not verified again, its times are. */
  readonly verifiedDelegation?: OpenedDelegation
  readonly importP256: ImportP256
  readonly sha256: Sha256
}

const MAX_PAYLOAD = 4096
/** More authorities than this on one trust domain are not foreseen. */
export const MAX_DELEGATED_KEYS = 8
const LIMITS = { maxBytes: MAX_PAYLOAD, maxDepth: 3, maxKeys: 64 }
const MEMBERS = ['v', 'trust_domain', 'version', 'keys', 'issued_at', 'expires_at']

/** Signs a delegation with the recovery root. Throws what custody throws. */
export async function signDelegation(
  delegation: Delegation,
  rootKey: SignKey,
  root: P256Jwk,
): Promise<SignedDelegation> {
  const document = {
    v: statementVersion,
    trust_domain: delegation.trustDomain,
    version: delegation.version,
    keys: delegation.keys.map(({ kty, crv, x, y }) => ({ kty, crv, x, y })),
    issued_at: delegation.issuedAt,
    expires_at: delegation.expiresAt,
  }
  const signed = await signPayload('delegation', utf8(JSON.stringify(document)), rootKey)
  return { ...signed, root: { kty: root.kty, crv: root.crv, x: root.x, y: root.y } }
}

/**
 * Verifies a delegation against the pinned root. Codes: `delegation_root`, `delegation_malformed`, `delegation_signature`,
 * `delegation_trust_domain`, `delegation_expired`, `delegation_not_yet_valid`.
 */
export function openDelegation(signed: SignedDelegation, check: DelegationCheck): OpenedDelegation | StatementRefusal {
  if (jwkThumbprint(signed.root, check.sha256) !== check.rootFingerprint) {
    return refusal('delegation_root', 'the delegation is by another recovery root than the pinned one')
  }
  const opened = isVerified(signed, check.verifiedDelegation) ? check.verifiedDelegation : verify(signed, check)
  return 'code' in opened ? opened : (judge(opened.delegation, check) ?? opened)
}

function isVerified(signed: SignedDelegation, verified?: OpenedDelegation): verified is OpenedDelegation {
  if (verified === undefined) return false
  const { payload, signature, root } = verified.signed
  return (
    signed.payload === payload && signed.signature === signature && signed.root.x === root.x && signed.root.y === root.y
  )
}

function verify(signed: SignedDelegation, check: DelegationCheck): OpenedDelegation | StatementRefusal {
  const root = check.importP256(signed.root)
  const payload = payloadBytes(signed, MAX_PAYLOAD)
  if (root === null || payload === null)
    return refusal('delegation_malformed', 'expected a P-256 root and a base64url payload')
  if (!signatureHolds('delegation', payload, signed.signature, root)) {
    return refusal('delegation_signature', 'the delegation is not signed by its root')
  }
  const scan = scanJson(payload, LIMITS)
  const delegation = scan.ok ? readDelegation(scan.value) : null
  const key = delegation === null ? null : anyOf(delegation.keys, check.importP256)
  if (delegation === null || key === null)
    return refusal('delegation_malformed', `expected exactly ${MEMBERS.join(', ')}`)
  const digest = toBase64url(check.sha256(signedBytes('delegation', payload)))
  return { delegation, signed, digest, key }
}

function judge(delegation: Delegation, { trustDomain, now }: DelegationCheck): StatementRefusal | null {
  if (delegation.trustDomain !== trustDomain) return refusal('delegation_trust_domain', `expected ${trustDomain}`)
  if (now >= delegation.expiresAt)
    return refusal('delegation_expired', `the delegation ended at ${delegation.expiresAt}`)
  if (now < delegation.issuedAt - statementSkewSeconds) {
    return refusal('delegation_not_yet_valid', `the delegation starts at ${delegation.issuedAt}`)
  }
  return null
}

/** Which of the authorities has signed does not matter: each may. Null when one of the keys is none. */
function anyOf(keys: readonly P256Jwk[], importP256: ImportP256): VerifyKey | null {
  const imported = keys.map((key) => importP256(key))
  if (!imported.every((key) => key !== null)) return null
  return { verify: (data, signature) => imported.some((key) => key.verify(data, signature)) }
}

function readDelegation(value: JsonValue): Delegation | null {
  const document = exactObject(value, MEMBERS)
  if (document === null || document['v'] !== statementVersion) return null
  const { trust_domain, version, issued_at, expires_at } = document as Readonly<Record<string, JsonValue>>
  const keys = readList(document['keys'], MAX_DELEGATED_KEYS, readP256Jwk)
  if (!isText(trust_domain, 255) || !isCount(version) || keys === null || keys.length === 0) return null
  if (!distinct(keys, ({ x, y }) => `${x} ${y}`)) return null
  if (!isSeconds(issued_at) || !isSeconds(expires_at) || issued_at >= expires_at) return null
  return { trustDomain: trust_domain, version, keys, issuedAt: issued_at, expiresAt: expires_at }
}

/** A signed delegation as it stands in a message, or null when it is not exactly one. */
export function readSignedDelegation(value: JsonValue | undefined): SignedDelegation | null {
  const wire = exactObject(value, ['payload', 'signature', 'root'])
  if (wire === null) return null
  const { payload, signature } = wire as Readonly<Record<string, JsonValue>>
  const root = readP256Jwk(wire['root'])
  if (typeof payload !== 'string' || typeof signature !== 'string' || root === null) return null
  return { payload, signature, root }
}
