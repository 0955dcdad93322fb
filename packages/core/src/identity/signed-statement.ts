/**
 * Statements that say whom to trust: JSON payloads signed with ES256 over a prefix that names their kind.
 *
 * The prefix separates the kinds: a signature over a heartbeat is never one over a trust state, whatever the payload.
 */

import { concat, fromBase64url, toBase64url, utf8 } from '../bytes.ts'
import type { SignKey, VerifyKey } from '../primitives.ts'

export type StatementKind = 'delegation' | 'trust-state' | 'trust-anchors' | 'heartbeat'

const PREFIX: Readonly<Record<StatementKind, Uint8Array>> = {
  delegation: utf8('doorward delegation v1\n'),
  'trust-state': utf8('doorward trust-state v1\n'),
  'trust-anchors': utf8('doorward trust-anchors v1\n'),
  heartbeat: utf8('doorward heartbeat v1\n'),
}

/** Payload and signature, each base64url. */
export interface SignedPayload {
  readonly payload: string
  readonly signature: string
}

/** Why a statement is refused: a stable code and the reason for the operator. */
export interface StatementRefusal {
  readonly code: string
  readonly message: string
}

/** The version of every payload's grammar. */
export const statementVersion = 1

/** How far a statement's time may lie ahead of ours. */
export const statementSkewSeconds = 60

/** The bytes under the signature: prefix of the kind, then the payload. */
export function signedBytes(kind: StatementKind, payload: Uint8Array): Uint8Array {
  return concat(PREFIX[kind], payload)
}

export async function signPayload(kind: StatementKind, payload: Uint8Array, signKey: SignKey): Promise<SignedPayload> {
  return { payload: toBase64url(payload), signature: toBase64url(await signKey.sign(signedBytes(kind, payload))) }
}

/** The signed bytes when the payload decodes, else null. */
export function payloadBytes({ payload }: SignedPayload, maxBytes: number): Uint8Array | null {
  return payload.length > Math.ceil((maxBytes * 4) / 3) ? null : fromBase64url(payload)
}

export function signatureHolds(kind: StatementKind, payload: Uint8Array, signature: string, key: VerifyKey): boolean {
  const bytes = signature.length === 86 ? fromBase64url(signature) : null
  return bytes !== null && key.verify(signedBytes(kind, payload), bytes)
}

export function refusal(code: string, message: string): StatementRefusal {
  return { code, message }
}
