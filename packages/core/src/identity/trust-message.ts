/** One line of the trust-state stream: a signed state or a signed heartbeat. Nothing is verified here. */

import { utf8 } from '../bytes.ts'
import { scanJson } from '../json/scan.ts'
import { isJsonObject, member } from '../json/object.ts'
import type { JsonValue } from '../json-value.ts'
import { readSignedDelegation } from './delegation.ts'
import type { SignedHeartbeat } from './heartbeat.ts'
import { refusal } from './signed-statement.ts'
import type { StatementRefusal } from './signed-statement.ts'
import type { SignedTrustState } from './signed-trust-state.ts'
import { exactObject } from './strict-members.ts'
import { trustStateLimits } from './trust-state-codec.ts'

export type TrustMessage = SignedTrustState | SignedHeartbeat

/** Bytes of the longest line: a payload of full size in base64url, its signature and its delegation. */
export const trustMessageBytes = Math.ceil((trustStateLimits.payloadBytes * 4) / 3) + 8192

const LIMITS = { maxBytes: trustMessageBytes, maxDepth: 3, maxKeys: 16 }

/** Reads a line without its newline. Codes: `trust_message_malformed`. */
export function parseTrustMessage(line: string | Uint8Array): TrustMessage | StatementRefusal {
  const scan = scanJson(typeof line === 'string' ? utf8(line) : line, LIMITS)
  if (!scan.ok) return refusal('trust_message_malformed', `not strict JSON: ${scan.code}`)
  const kind = isJsonObject(scan.value) ? member(scan.value, 'kind') : undefined
  const message = kind === 'trust-state' ? readState(scan.value) : kind === 'heartbeat' ? readBeat(scan.value) : null
  return message ?? refusal('trust_message_malformed', 'expected exactly one signed trust state or heartbeat')
}

function readState(value: JsonValue): SignedTrustState | null {
  const wire = exactObject(value, ['kind', 'payload', 'signature', 'delegation'])
  if (wire === null) return null
  const { payload, signature } = wire as Readonly<Record<string, JsonValue>>
  const delegation = readSignedDelegation(wire['delegation'])
  if (typeof payload !== 'string' || typeof signature !== 'string' || delegation === null) return null
  return { kind: 'trust-state', payload, signature, delegation }
}

function readBeat(value: JsonValue): SignedHeartbeat | null {
  const wire = exactObject(value, ['kind', 'payload', 'signature'])
  if (wire === null) return null
  const { payload, signature } = wire as Readonly<Record<string, JsonValue>>
  if (typeof payload !== 'string' || typeof signature !== 'string') return null
  return { kind: 'heartbeat', payload, signature }
}
