/**
 * The anchors alone, under signature: what somebody who is not a workload yet needs to know a server by, and no more.
 *
 * The statement has the version of the full state beside which it was signed, so that one watermark orders both. It
 * names no workload, no certificate and no denial (reference id BS-4).
 */

import { utf8 } from '../bytes.ts'
import { DoorwardError } from '../error.ts'
import { scanJson } from '../json/scan.ts'
import type { JsonValue } from '../json-value.ts'
import type { Sha256, SignKey } from '../primitives.ts'
import { openDelegation, readSignedDelegation } from './delegation.ts'
import type { DelegationCheck, OpenedDelegation, SignedDelegation } from './delegation.ts'
import {
  payloadBytes,
  refusal,
  signatureHolds,
  signPayload,
  statementSkewSeconds,
  statementVersion,
} from './signed-statement.ts'
import type { SignedPayload, StatementRefusal } from './signed-statement.ts'
import type { TrustStateVersion } from './signed-trust-state.ts'
import { exactObject } from './strict-members.ts'
import { compareStates } from './trust-state.ts'
import type { TrustState } from './trust-state.ts'
import { anchorDocument, readAnchors, readHeader, stateHeader } from './trust-state-codec.ts'

/** What anybody may know of a trust state. */
export type TrustAnchors = Pick<
  TrustState,
  'trustDomain' | 'delegation' | 'sequence' | 'issuedAt' | 'expiresAt' | 'epoch' | 'anchors'
>

/** On the wire. */
export interface SignedTrustAnchors extends SignedPayload {
  readonly kind: 'trust-anchors'
  readonly delegation: SignedDelegation
}

export interface TrustAnchorsCheck extends DelegationCheck {
  /** The newest state seen before; absent only at the first contact. */
  readonly current?: TrustStateVersion
}

/** 64 anchors with room to spare. */
const MAX_PAYLOAD = 128 * 1024
const LIMITS = { maxBytes: MAX_PAYLOAD, maxDepth: 4, maxKeys: 512 }
const MEMBERS = ['v', 'trust_domain', 'delegation', 'sequence', 'issued_at', 'expires_at', 'epoch', 'anchors']

/** Bytes of the longest message: a payload of full size in base64url, its signature and its delegation. */
export const trustAnchorsBytes = Math.ceil((MAX_PAYLOAD * 4) / 3) + 8192

/** Signs with the trust-state key. Throws `trust_anchors_invalid` for what no receiver would read, or what custody throws. */
export async function signTrustAnchors(
  trust: TrustAnchors,
  delegation: SignedDelegation,
  { signKey, sha256 }: { readonly signKey: SignKey; readonly sha256: Sha256 },
): Promise<SignedTrustAnchors> {
  const anchors = trust.anchors.map(anchorDocument)
  const payload = utf8(JSON.stringify({ v: statementVersion, ...stateHeader(trust), anchors }))
  if (decode(payload, sha256) === null)
    throw new DoorwardError('trust_anchors_invalid', 'the trust anchors do not read back')
  return { kind: 'trust-anchors', ...(await signPayload('trust-anchors', payload, signKey)), delegation }
}

/** A statement as it stands in a message, or null when it is not exactly one. Nothing is verified here. */
export function readSignedTrustAnchors(value: JsonValue | undefined): SignedTrustAnchors | null {
  const wire = exactObject(value, ['kind', 'payload', 'signature', 'delegation'])
  if (wire === null || wire['kind'] !== 'trust-anchors') return null
  const { payload, signature } = wire as Readonly<Record<string, JsonValue>>
  const delegation = readSignedDelegation(wire['delegation'])
  if (typeof payload !== 'string' || typeof signature !== 'string' || delegation === null) return null
  return { kind: 'trust-anchors', payload, signature, delegation }
}

/**
 * Judges a statement that arrived. Codes: those of `openDelegation`, and `trust_anchors_too_large`, `trust_anchors_signature`,
 * `trust_anchors_malformed`, `trust_anchors_trust_domain`, `trust_anchors_delegation`, `trust_anchors_expired`,
 * `trust_anchors_not_yet_valid`, `trust_anchors_rollback` (an older version or epoch than the one held), `trust_anchors_equivocation`
 * (another delegation of the version held).
 */
export function openTrustAnchors(
  message: SignedTrustAnchors,
  check: TrustAnchorsCheck,
): TrustAnchors | StatementRefusal {
  const delegated = openDelegation(message.delegation, check)
  if ('code' in delegated) return delegated
  const payload = payloadBytes(message, MAX_PAYLOAD)
  if (payload === null) return refusal('trust_anchors_too_large', `expected at most ${MAX_PAYLOAD} bytes of base64url`)
  if (!signatureHolds('trust-anchors', payload, message.signature, delegated.key))
    return refusal('trust_anchors_signature', 'the trust anchors are not signed by the delegated key')
  const trust = decode(payload, check.sha256)
  if (trust === null) return refusal('trust_anchors_malformed', `expected exactly ${MEMBERS.join(', ')}`)
  return judge(trust, delegated, check) ?? place(trust, delegated, check.current) ?? trust
}

function decode(payload: Uint8Array, sha256: Sha256): TrustAnchors | null {
  const scan = scanJson(payload, LIMITS)
  const document = scan.ok ? exactObject(scan.value, MEMBERS) : null
  if (document === null || document['v'] !== statementVersion) return null
  const header = readHeader(document)
  const anchors = header === null ? null : readAnchors(document['anchors'], header.trustDomain, sha256)
  return header === null || anchors === null ? null : { ...header, anchors }
}

function judge(
  trust: TrustAnchors,
  { delegation }: OpenedDelegation,
  { trustDomain, now }: TrustAnchorsCheck,
): StatementRefusal | null {
  if (trust.trustDomain !== trustDomain) return refusal('trust_anchors_trust_domain', `expected ${trustDomain}`)
  if (trust.delegation !== delegation.version)
    return refusal('trust_anchors_delegation', `expected delegation ${delegation.version}, got ${trust.delegation}`)
  if (now >= trust.expiresAt) return refusal('trust_anchors_expired', `the statement ended at ${trust.expiresAt}`)
  return now < trust.issuedAt - statementSkewSeconds
    ? refusal('trust_anchors_not_yet_valid', `issued at ${trust.issuedAt}`)
    : null
}

function place(
  { delegation, sequence, epoch }: TrustAnchors,
  { digest }: OpenedDelegation,
  current: TrustStateVersion | undefined,
): StatementRefusal | null {
  if (current === undefined) return null
  if (compareStates({ delegation, sequence }, current) === 'older' || epoch < current.epoch) {
    const held = `(${current.delegation}, ${current.sequence}) of epoch ${current.epoch}`
    return refusal('trust_anchors_rollback', `got (${delegation}, ${sequence}) of epoch ${epoch}, holding ${held}`)
  }
  return delegation === current.delegation && digest !== current.delegationDigest
    ? refusal('trust_anchors_equivocation', `two different delegations of version ${delegation}`)
    : null
}
