/** Stage 5: the decision is durable in the log before the permit exists. Refusals are recorded here too. */

import { principalName, subjectName } from '@doorward/core'
import type { JsonObject, PolicyVersion, Principal, ShadowVerdict } from '@doorward/core'
import { deny, denialRow } from './denial.ts'
import type { Denial, PartialCaller } from './denial.ts'
import type { Inbound } from './inbound.ts'
import type { KeptContent } from './kept-content.ts'
import type { Admitted } from './limit.ts'
import { Permit } from './permit.ts'
import type { Record } from './record/record.ts'
import type { EntryReference } from './record/reference.ts'
import type { RefusalCounter } from './record/refusal-counter.ts'

/** Writes an allow, with what rules keep of its arguments, and makes the permit; a denial when it cannot be written. */
export async function record<Detail>(
  admitted: Admitted<Detail>,
  log: Record,
  kept?: KeptContent,
): Promise<Permit<Detail> | Denial> {
  const { authorized } = admitted
  const { call, identified } = authorized.classified
  try {
    const entry = await log.append({
      kind: 'decision',
      body: {
        decision: 'allow',
        code: 'allowed',
        ...callerFields(identified.principal),
        ...inboundFields(identified.inbound),
        action: call.action.name,
        group: call.action.group,
        resource: { ...call.resource },
        ...(call.parts === undefined ? {} : { parts: call.parts.map(({ resource }) => ({ ...resource })) }),
        policies: [...authorized.policies],
        policy: versionFields(authorized.policyVersion),
        ...shadowFields(authorized.shadow),
        ...(admitted.approval === undefined ? {} : { approval: admitted.approval }),
        // Whoever has asked does it, or does not.
        ...(identified.inbound.asker === undefined ? {} : { outcome: 'not_seen' }),
        ...kept?.decision(call),
      },
    })
    return Permit.afterRecord(admitted, entry)
  } catch (error) {
    return deny('record_unavailable', `the decision could not be recorded: ${String(error)}`, {
      caller: identified.principal,
      action: call.action,
      resource: call.resource,
      rpcId: call.rpcId,
    })
  }
}

/** Where a refusal stands in the record: its own entry, or counted with others of its second. */
export type RefusalEntry = EntryReference | 'counted' | 'unrecorded'

/** Longer than any explanation of ours; what strangers put into theirs is cut. */
const MAX_EXPLANATION = 1024
const MAX_GROUPS = 100

/** Records a refusal: known callers one by one, strangers and floods as counted entries, unless why has to be found out. */
export async function recordRefusal(
  inbound: Inbound,
  denial: Denial,
  log: Record,
  counter: RefusalCounter,
): Promise<RefusalEntry> {
  const row = denialRow(denial.code)
  const source = refusalSource(inbound, denial)
  if ((denial.caller === null || row.counted) && !(row.explained && counter.takeSingle(source))) {
    counter.count({ source, reason: denial.code })
    return 'counted'
  }
  try {
    return await log.append({
      kind: 'decision',
      body: {
        decision: 'deny',
        code: denial.code,
        explanation: denial.explanation.slice(0, MAX_EXPLANATION),
        ...(denial.caller === null ? {} : callerFields(denial.caller)),
        ...inboundFields(inbound),
        ...(denial.action === null ? {} : { action: denial.action.name, group: denial.action.group }),
        ...(denial.resource === null ? {} : { resource: { ...denial.resource } }),
        ...(denial.wouldAllow === null ? {} : { would_allow: denial.wouldAllow }),
        policies: [...denial.policies],
        ...(denial.policyVersion === null ? {} : { policy: versionFields(denial.policyVersion) }),
        ...shadowFields(denial.shadow),
        ...(denial.approval === null ? {} : { approval: denial.approval.id }),
      },
    })
  } catch {
    return 'unrecorded'
  }
}

export interface Outcome {
  readonly status: 'completed' | 'failed' | 'cancelled'
  /** HTTP status towards the caller; 0 when none was sent. */
  readonly http: number
  /** Bytes sent towards the caller. */
  readonly bytes: number
  readonly milliseconds: number
  /** How often it was sent or tried to be; once where nothing is said. */
  readonly attempts?: number
  /** What of our credentials it was sent with, by name and version. */
  readonly credentials?: readonly JsonObject[]
  /** Code of the failure, when there was one. */
  readonly code?: string
  /** For the operator: why it failed. */
  readonly explanation?: string
  /** Texts of which known secrets were taken before they were sent; absent for none. */
  readonly redacted?: number
  /** What a rule keeps of the result. */
  readonly kept?: { readonly result: JsonObject }
}

/** The second entry of a call, which its answer does not wait for. Rejects when it cannot be written; the call has happened all the same. */
export async function recordOutcome(entry: EntryReference, outcome: Outcome, log: Record): Promise<void> {
  const told = outcome.explanation?.slice(0, MAX_EXPLANATION)
  const why = told === undefined ? undefined : { explanation: told }
  await log.append({ kind: 'outcome', body: { of: entry.index, ...outcome, ...why }, patient: true })
}

function refusalSource(inbound: Inbound, denial: Denial): string {
  return denial.caller === null ? inbound.connection.remoteAddress : callerName(denial.caller)
}

function isPrincipal(caller: Principal | PartialCaller): caller is Principal {
  return 'presenter' in caller
}

function callerName(caller: Principal | PartialCaller): string {
  return isPrincipal(caller) ? principalName(caller) : caller.id
}

/** Who a call is from, as entries say it. */
export function callerFields(caller: Principal | PartialCaller): JsonObject {
  const { certificateFingerprint: fingerprint, certificateSerial: serial } = caller
  // At the edge nobody has one.
  const certified = fingerprint === '' ? {} : { certificate: { fingerprint, serial } }
  if (!isPrincipal(caller)) return { caller: caller.id, ...certified }
  const { subject } = caller
  return {
    caller: principalName(caller),
    subject: subjectName(subject),
    ...(subject.kind === 'user' && subject.groups.length > 0 ? { groups: subject.groups.slice(0, MAX_GROUPS) } : {}),
    presenter: caller.presenter.uri,
    act: caller.act.map((actor) => actor.uri),
    ...chainFields(caller),
    roles: [...caller.roles],
    strength: caller.strength,
    epoch: caller.epoch,
    ...certified,
    ...(caller.tokenId === null ? {} : { token: caller.tokenId }),
  }
}

/** The tokens that the call hangs on, nearest first, with what they were narrowed to; what the trust state gives their holders. */
function chainFields({ chain, given, scope }: Principal): JsonObject {
  return {
    ...(chain === undefined
      ? {}
      : { chain: chain.map(({ holder, jti, serial }) => ({ id: holder, token: jti, serial })) }),
    ...(given === undefined ? {} : { given: Object.fromEntries([...given].map(([id, roles]) => [id, [...roles]])) }),
    ...(scope === undefined ? {} : { scope: [...scope] }),
  }
}

function inboundFields(inbound: Inbound): JsonObject {
  const { asker } = inbound
  return {
    ...(asker === undefined
      ? {}
      : { asserted_by: { proxy: asker.name, id: asker.id, certificate: asker.certificateFingerprint } }),
    remote: inbound.connection.remoteAddress,
    listener: inbound.connection.listener,
    request: { method: inbound.head.method, path: inbound.head.path },
  }
}

/** Only where a candidate policy says something else. */
function shadowFields(shadow: ShadowVerdict | null): JsonObject {
  if (shadow === null) return {}
  const { effect, reason, policies, approvals = [], version } = shadow
  return {
    shadow: {
      decision: effect,
      ...(reason === null ? {} : { reason }),
      policies: [...policies],
      ...(approvals.length === 0 ? {} : { approvals: [...approvals] }),
      policy: versionFields(version),
    },
  }
}

function versionFields(version: PolicyVersion): JsonObject {
  return { digest: version.digest, sequence: version.sequence }
}
