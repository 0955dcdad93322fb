/** A decision of the record as the request that was decided, as far as the record tells: arguments are not in it. */

import { isActionGroup, isJsonObject, isResourceKind, parseSpiffeId } from '@doorward/core'
import type { DecisionRequest, EntryEnvelope, JsonObject, JsonValue, Principal, Subject } from '@doorward/core'

export interface RecalledCall {
  readonly request: DecisionRequest
  readonly decided: 'allow' | 'deny'
  /** It needed an approval. */
  readonly approval: boolean
  readonly code: string
}

/** Codes of decisions that policy made; other refusals came before it. */
const ofPolicy: ReadonlySet<string> = new Set(['allowed', 'policy_denied', 'policy_forbidden', 'policy_error'])
/** Codes of calls that policy allowed, and for which nobody was there to approve them. */
const ofApproval: ReadonlySet<string> = new Set(['approval_pending', 'approval_denied'])

/** Null for an entry that is no decision of policy, or that lacks what policy looks at. */
export function recallCall({ kind, time, body }: EntryEnvelope): RecalledCall | null {
  if (kind !== 'decision') return null
  const { decision, code, remote, approval } = body as JsonObject
  if (typeof code !== 'string' || (decision !== 'allow' && decision !== 'deny')) return null
  const asked = ofApproval.has(code)
  if (!asked && !ofPolicy.has(code)) return null
  const principal = principalOf(body as JsonObject)
  const what = askedOf(body as JsonObject)
  if (principal === null || what === null || typeof remote !== 'string') return null
  const context = { args: undefined, timeSeconds: Math.floor(time / 1000), remoteAddress: remote }
  const decided = asked ? 'allow' : decision
  return { request: { principal, ...what, context }, decided, approval: typeof approval === 'string', code }
}

function askedOf({ action, group, resource }: JsonObject): Pick<DecisionRequest, 'action' | 'resource'> | null {
  if (typeof action !== 'string' || !isActionGroup(group) || !isJsonObject(resource)) return null
  const { server, kind, name } = resource
  if (typeof server !== 'string' || !isResourceKind(kind) || typeof name !== 'string') return null
  return { action: { name: action, group }, resource: { server, kind, name } }
}

function principalOf(body: JsonObject): Principal | null {
  const { presenter, act, roles, given, strength } = body
  const subject = subjectOf(body)
  const id = spiffeId(presenter)
  const actors = texts(act).map(spiffeId)
  if (subject === null || id === null || actors.includes(null) || typeof strength !== 'string') return null
  return {
    subject,
    presenter: id,
    act: actors.filter((actor) => actor !== null),
    roles: texts(roles),
    ...(isJsonObject(given) ? { given: new Map(Object.entries(given).map(([one, its]) => [one, texts(its)])) } : {}),
    strength: strength as Principal['strength'],
    epoch: 0,
    certificateFingerprint: '',
    certificateSerial: '',
    tokenId: null,
    expires: 0 as Principal['expires'],
  }
}

/** A user is written `<issuer>#<subject>`; an issuer has no fragment (OpenID Connect Core, section 2). */
function subjectOf({ subject, groups }: JsonObject): Subject | null {
  if (typeof subject !== 'string') return null
  const id = spiffeId(subject)
  if (id !== null) return { kind: 'workload', id }
  const hash = subject.indexOf('#')
  if (hash < 0) return null
  return { kind: 'user', issuer: subject.slice(0, hash), subject: subject.slice(hash + 1), groups: texts(groups) }
}

function texts(value: JsonValue | undefined): readonly string[] {
  return Array.isArray(value) ? value.filter((one) => typeof one === 'string') : []
}

function spiffeId(value: JsonValue | undefined) {
  if (typeof value !== 'string' || !value.startsWith('spiffe://')) return null
  try {
    return parseSpiffeId(value)
  } catch {
    return null
  }
}
