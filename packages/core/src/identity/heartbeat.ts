/** Heartbeats: signed proof that the authority is alive and which state is the newest (RV-3). */

import { utf8 } from '../bytes.ts'
import { scanJson } from '../json/scan.ts'
import type { JsonValue } from '../json-value.ts'
import type { SignKey, VerifyKey } from '../primitives.ts'
import type { EpochSeconds } from '../time.ts'
import {
  payloadBytes,
  refusal,
  signPayload,
  signatureHolds,
  statementSkewSeconds,
  statementVersion,
} from './signed-statement.ts'
import type { SignedPayload, StatementRefusal } from './signed-statement.ts'
import type { TrustStateVersion } from './signed-trust-state.ts'
import { exactObject, isCount, isSeconds, isText } from './strict-members.ts'
import { compareStates } from './trust-state.ts'
import type { Heartbeat, TrustScope } from './trust-state.ts'
import { isTrustScope } from './trust-state-codec.ts'

/** On the wire. `JSON.stringify` of it is one line of the stream. */
export interface SignedHeartbeat extends SignedPayload {
  readonly kind: 'heartbeat'
}

export interface OpenedHeartbeat {
  readonly heartbeat: Heartbeat
  /** `same`: the held state is the newest. `newer`: a state is missing here, and the held one is not confirmed. */
  readonly order: 'same' | 'newer'
}

export interface HeartbeatCheck {
  /** The state held, with the keys that its delegation names. */
  readonly current: TrustStateVersion & {
    readonly scope: TrustScope
    readonly key: VerifyKey
    readonly delegationExpiresAt: EpochSeconds
  }
  readonly trustDomain: string
  /** Time of the last heartbeat accepted, so that an old one cannot be played again. */
  readonly after?: EpochSeconds
  readonly now: EpochSeconds
}

const MAX_PAYLOAD = 1024
const LIMITS = { maxBytes: MAX_PAYLOAD, maxDepth: 1, maxKeys: 16 }
const MEMBERS = ['v', 'scope', 'trust_domain', 'delegation', 'sequence', 'digest', 'time']

/** Signs with the trust-state key. Throws what custody throws. */
export async function signHeartbeat(heartbeat: Heartbeat, signKey: SignKey): Promise<SignedHeartbeat> {
  const { scope, trustDomain, delegation, sequence, digest, time } = heartbeat
  const document = { v: statementVersion, scope, trust_domain: trustDomain, delegation, sequence, digest, time }
  return { kind: 'heartbeat', ...(await signPayload('heartbeat', utf8(JSON.stringify(document)), signKey)) }
}

/**
 * Judges a heartbeat against the state held. Codes: `heartbeat_signature` (also under another delegation), `heartbeat_malformed`,
 * `heartbeat_scope`, `heartbeat_trust_domain`, `heartbeat_delegation`, `delegation_expired`, `heartbeat_stale` (older than 60 s, or not after the last one),
 * `heartbeat_not_yet_valid`, `heartbeat_rollback`, `heartbeat_equivocation`.
 */
export function openHeartbeat(message: SignedHeartbeat, check: HeartbeatCheck): OpenedHeartbeat | StatementRefusal {
  const payload = payloadBytes(message, MAX_PAYLOAD)
  if (payload === null || !signatureHolds('heartbeat', payload, message.signature, check.current.key)) {
    return refusal('heartbeat_signature', 'the heartbeat is not signed by the trust-state key')
  }
  const scan = scanJson(payload, LIMITS)
  const heartbeat = scan.ok ? readHeartbeat(scan.value) : null
  if (heartbeat === null) return refusal('heartbeat_malformed', `expected exactly ${MEMBERS.join(', ')}`)
  return judgeTime(heartbeat, check) ?? judgeVersion(heartbeat, check)
}

function judgeTime({ time }: Heartbeat, { now, after, current }: HeartbeatCheck): StatementRefusal | null {
  if (now >= current.delegationExpiresAt)
    return refusal('delegation_expired', `the delegation ended at ${current.delegationExpiresAt}`)
  if (time < now - statementSkewSeconds) return refusal('heartbeat_stale', `of ${time}, now is ${now}`)
  if (after !== undefined && time < after) return refusal('heartbeat_stale', `of ${time}, the last one was of ${after}`)
  return time > now + statementSkewSeconds ? refusal('heartbeat_not_yet_valid', `of ${time}, now is ${now}`) : null
}

function judgeVersion(
  heartbeat: Heartbeat,
  { trustDomain, current }: HeartbeatCheck,
): OpenedHeartbeat | StatementRefusal {
  if (heartbeat.scope !== current.scope) return refusal('heartbeat_scope', `expected ${current.scope}`)
  if (heartbeat.trustDomain !== trustDomain) return refusal('heartbeat_trust_domain', `expected ${trustDomain}`)
  if (heartbeat.delegation !== current.delegation)
    return refusal('heartbeat_delegation', `expected delegation ${current.delegation}`)
  const order = compareStates(heartbeat, current)
  if (order === 'older')
    return refusal('heartbeat_rollback', `got sequence ${heartbeat.sequence}, holding ${current.sequence}`)
  if (order === 'same' && heartbeat.digest !== current.digest) {
    return refusal('heartbeat_equivocation', `another content of sequence ${heartbeat.sequence}`)
  }
  return { heartbeat, order }
}

function readHeartbeat(value: JsonValue): Heartbeat | null {
  const document = exactObject(value, MEMBERS)
  if (document === null || document['v'] !== statementVersion) return null
  const { scope, trust_domain, delegation, sequence, digest, time } = document as Readonly<Record<string, JsonValue>>
  if (!isText(trust_domain, 255) || !isCount(delegation) || !isCount(sequence)) return null
  if (!isText(digest, 43) || !isSeconds(time) || !isTrustScope(scope)) return null
  return { scope, trustDomain: trust_domain, delegation, sequence, digest, time }
}
