/** Trust state under signature: making one, and judging whether one that arrived replaces the one held (RV-1, CA-4). */

import { toBase64url } from '../bytes.ts'
import { DoorwardError } from '../error.ts'
import type { ImportP256, Sha256, SignKey, VerifyKey } from '../primitives.ts'
import type { EpochSeconds } from '../time.ts'
import type { DecodedState, DecodedStates } from './decoded-states.ts'
import { openDelegation } from './delegation.ts'
import type { OpenedDelegation, SignedDelegation } from './delegation.ts'
import {
  payloadBytes,
  refusal,
  signPayload,
  signatureHolds,
  signedBytes,
  statementSkewSeconds,
} from './signed-statement.ts'
import type { SignedPayload, StatementRefusal } from './signed-statement.ts'
import { compareStates } from './trust-state.ts'
import type { TrustScope, TrustState } from './trust-state.ts'
import { decodeTrustState, encodeTrustState, trustStateLimits } from './trust-state-codec.ts'

/** On the wire. `JSON.stringify` of it is one line of the stream. */
export interface SignedTrustState extends SignedPayload {
  readonly kind: 'trust-state'
  readonly delegation: SignedDelegation
}

/** What must be remembered of a state, across restarts too, so that nothing older is accepted. */
export interface TrustStateVersion {
  readonly delegation: number
  readonly sequence: number
  readonly epoch: number
  /** SHA-256 of the signed bytes, base64url: the same value as in heartbeats and join strings. */
  readonly digest: string
  readonly delegationDigest: string
}

/** A state whose signatures, times and order hold. */
export interface OpenedTrustState extends TrustStateVersion {
  readonly state: TrustState
  readonly scope: TrustScope
  /** `same` when it is the state already held. */
  readonly order: 'newer' | 'same'
  /** The trust-state keys: verify heartbeats of this delegation. */
  readonly key: VerifyKey
  readonly delegationExpiresAt: EpochSeconds
  /** For the check of the next state, which mostly comes under the same one. */
  readonly verifiedDelegation: OpenedDelegation
}

export interface TrustStateCheck {
  /** RFC 7638 thumbprint of the pinned recovery root, base64url. */
  readonly rootFingerprint: string
  readonly trustDomain: string
  readonly scope: TrustScope
  /** What was applied last; absent only at the first contact. */
  readonly current?: TrustStateVersion
  /** Of a state that was opened before: the same delegation is not verified again, its times are. */
  readonly verifiedDelegation?: OpenedDelegation
  /** Of all who are sent the same states; absent when there is but one. */
  readonly decoded?: DecodedStates
  readonly now: EpochSeconds
  readonly importP256: ImportP256
  readonly sha256: Sha256
}

/** SHA-256 of the signed bytes of a state's payload, base64url. */
export function trustStateDigest(payload: Uint8Array, sha256: Sha256): string {
  return toBase64url(sha256(signedBytes('trust-state', payload)))
}

/** Signs a full state with the delegated key. Throws `trust_state_invalid` for a state that no receiver would read, or what custody throws. */
export async function signTrustState(
  state: TrustState,
  delegation: SignedDelegation,
  signing: { readonly signKey: SignKey; readonly sha256: Sha256 },
): Promise<SignedTrustState> {
  const payload = encodeTrustState(state)
  const readable = decodeTrustState(payload, signing.sha256) === null ? null : payload
  return (await signEncodedState(readable, delegation, signing)).message
}

/** As `signTrustState`, for a payload that `TrustStateEncoder` made. With its digest. */
export async function signEncodedState(
  payload: Uint8Array | null,
  delegation: SignedDelegation,
  { signKey, sha256 }: { readonly signKey: SignKey; readonly sha256: Sha256 },
): Promise<{ readonly message: SignedTrustState; readonly digest: string }> {
  if (payload === null) {
    throw new DoorwardError('trust_state_invalid', 'the trust state does not read back', {
      expected: 'distinct names, ids of the trust domain, at most the list lengths of trustStateLimits',
    })
  }
  const signed = await signPayload('trust-state', payload, signKey)
  return { message: { kind: 'trust-state', ...signed, delegation }, digest: trustStateDigest(payload, sha256) }
}

/**
 * Judges a state that arrived. Codes: those of `openDelegation`, and `trust_state_too_large`, `trust_state_signature`,
 * `trust_state_malformed`, `trust_state_scope`, `trust_state_trust_domain`, `trust_state_delegation`, `trust_state_expired`, `trust_state_not_yet_valid`,
 * `trust_state_rollback` (an older version or epoch), `trust_state_equivocation` (an equal version with other content).
 */
export function openTrustState(message: SignedTrustState, check: TrustStateCheck): OpenedTrustState | StatementRefusal {
  const delegated = openDelegation(message.delegation, check)
  if ('code' in delegated) return delegated
  const payload = payloadBytes(message, trustStateLimits.payloadBytes)
  if (payload === null)
    return refusal('trust_state_too_large', `expected at most ${trustStateLimits.payloadBytes} bytes of base64url`)
  if (!signatureHolds('trust-state', payload, message.signature, delegated.key)) {
    return refusal('trust_state_signature', 'the trust state is not signed by the delegated key')
  }
  const { state, digest } = check.decoded?.of(payload) ?? decoded(payload, check.sha256)
  if (state === null)
    return refusal('trust_state_malformed', 'expected one trust state of version 1 without unknown members')
  return judge(state, delegated, check) ?? place(state, digest, delegated, check.current)
}

function decoded(payload: Uint8Array, sha256: Sha256): DecodedState {
  return { state: decodeTrustState(payload, sha256), digest: trustStateDigest(payload, sha256) }
}

function judge(
  state: TrustState,
  { delegation }: OpenedDelegation,
  { trustDomain, scope, now }: TrustStateCheck,
): StatementRefusal | null {
  if (state.scope !== scope) return refusal('trust_state_scope', `expected ${scope}, got ${state.scope}`)
  if (state.trustDomain !== trustDomain) return refusal('trust_state_trust_domain', `expected ${trustDomain}`)
  if (state.delegation !== delegation.version) {
    return refusal('trust_state_delegation', `expected delegation ${delegation.version}, got ${state.delegation}`)
  }
  if (now >= state.expiresAt) return refusal('trust_state_expired', `the trust state ended at ${state.expiresAt}`)
  if (now < state.issuedAt - statementSkewSeconds)
    return refusal('trust_state_not_yet_valid', `issued at ${state.issuedAt}`)
  return null
}

function place(
  state: TrustState,
  digest: string,
  verifiedDelegation: OpenedDelegation,
  current: TrustStateVersion | undefined,
): OpenedTrustState | StatementRefusal {
  const { delegation, digest: delegationDigest, key } = verifiedDelegation
  const { sequence, epoch } = state
  const version = { delegation: state.delegation, sequence, epoch, digest, delegationDigest }
  const order = current === undefined ? 'newer' : compareStates(state, current)
  if (order === 'older') return refusal('trust_state_rollback', `got ${name(version)}, holding ${name(current!)}`)
  if (current !== undefined && forked(version, current, order)) {
    return refusal('trust_state_equivocation', `two different contents of ${name(version)}`)
  }
  if (current !== undefined && epoch < current.epoch)
    return refusal('trust_state_rollback', `got epoch ${epoch}, holding ${current.epoch}`)
  const { expiresAt: delegationExpiresAt } = delegation
  return { ...version, state, scope: state.scope, order, key, delegationExpiresAt, verifiedDelegation }
}

function forked(version: TrustStateVersion, current: TrustStateVersion, order: 'newer' | 'same'): boolean {
  if (order === 'same' && version.digest !== current.digest) return true
  return version.delegation === current.delegation && version.delegationDigest !== current.delegationDigest
}

function name({ delegation, sequence }: TrustStateVersion): string {
  return `(${delegation}, ${sequence})`
}
