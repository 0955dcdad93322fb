/**
 * The frame of an entry whose payload is no longer there: as long as the one that it stands for, so that nothing after it
 * moves. Salt and payload are gone; the digest of both stays, so that the leaf, and every proof, is what it was.
 *
 * A frame of version 2 (big-endian), beside what it shares with version 1:
 *
 *     5  length   uint24   of the payload that stood here, at least 17
 *    32  digest   32 bytes SHA-256(salt ‖ payload), as in the leaf
 *    64  reason   uint8    1 redacted, 2 damaged
 *    65  zeros
 */

import type { EpochMillis } from '../time.ts'

/** `redacted`: an operator has taken the payload away; `damaged`: the disk has, and an operator has accepted it. */
export type AbsentReason = 'redacted' | 'damaged'

export interface AbsentPayload {
  readonly reason: AbsentReason
  /** SHA-256(salt ‖ payload), 32 bytes. */
  readonly digest: Uint8Array
}

/** An entry and how long its frame is. */
export interface AbsentEntry extends AbsentPayload {
  readonly index: number
  readonly batch: number
  readonly time: EpochMillis
}

export const ABSENT_FRAME_VERSION = 2
/** The shortest frame of version 2; every payload that can be written is longer than what it needs. */
export const MIN_ABSENT_FRAME_BYTES = 65

const DIGEST_AT = 32
const REASON_AT = 64
const numbers: Readonly<Record<AbsentReason, number>> = { redacted: 1, damaged: 2 }
const reasons: ReadonlyMap<number, AbsentReason> = new Map([
  [1, 'redacted'],
  [2, 'damaged'],
])

/** Writes digest and reason into a frame of zeros. */
export function writeAbsentPayload(frame: Uint8Array, { reason, digest }: AbsentPayload): void {
  frame.set(digest, DIGEST_AT)
  frame[REASON_AT] = numbers[reason]
}

/** Reads them from a whole frame; null where anything else stands in it. */
export function readAbsentPayload(frame: Uint8Array): AbsentPayload | null {
  const reason = reasons.get(frame[REASON_AT] ?? 0)
  if (reason === undefined || frame.subarray(MIN_ABSENT_FRAME_BYTES).some((byte) => byte !== 0)) return null
  return { reason, digest: frame.subarray(DIGEST_AT, REASON_AT) }
}
