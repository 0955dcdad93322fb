/** A call that a human is asked to approve: what the approval is bound to, and what the human is shown of it. */

import { createHash } from 'node:crypto'
import { canonicalJson, isApprovalDuty, isJsonObject, utf8, withoutSecrets } from '@doorward/core'
import type { ApprovalDuty, EpochMillis, JsonObject, JsonValue, PolicyVersion, Resource } from '@doorward/core'
import type { Authorized } from '../authorize.ts'
import { callerFields } from '../record.ts'
import { partiesOf } from './approver.ts'

/** What is asked for: exactly one call, by exactly this caller. */
export interface ApprovalAsk {
  /** SHA-256 in hexadecimal over caller, call and who has to approve it: the approval is good for nothing else. */
  readonly key: string
  /** SHA-256 in hexadecimal of everything that is asked for, arguments above all. */
  readonly digest: string
  /** The caller as entries name it. */
  readonly caller: JsonObject
  /** Everybody who takes part: none of them may approve. */
  readonly parties: readonly string[]
  readonly action: { readonly name: string; readonly group: string }
  readonly resource: Resource
  /** Without known secrets, long texts cut; null where even that is too much to be looked at. */
  readonly shown: JsonValue | null
  readonly duties: readonly ApprovalDuty[]
  readonly policy: PolicyVersion
}

export interface GivenApproval {
  /** The group in whose name it was given. */
  readonly group: string
  /** SPIFFE ID, `<issuer>#<subject>`, or null for a link. */
  readonly by: string | null
  readonly at: EpochMillis
}

export type ApprovalState = 'pending' | 'approved' | 'denied'

/** As it is kept: nothing of it is a secret but what arguments may be. */
export interface ApprovalRequest extends Omit<ApprovalAsk, 'shown'> {
  readonly id: string
  readonly shown: JsonValue
  readonly state: ApprovalState
  readonly created: EpochMillis
  readonly expires: EpochMillis
  readonly given: readonly GivenApproval[]
  /** By which groups may answer that were sent one: SHA-256 of each, in hexadecimal. */
  readonly links: readonly { readonly group: string; readonly hash: string }[]
}

/** Bytes of what people are shown of one call. */
const MAX_SHOWN = 16 * 1024
/** Characters of one text of it. */
const MAX_TEXT = 1024

/** Null where nothing asks for an approval. */
export function approvalAsk(authorized: Authorized<unknown>): ApprovalAsk | null {
  // Most calls have none, and each call comes by here.
  const { obligations } = authorized
  if (!obligations.some(isApprovalDuty)) return null
  const duties = together(obligations.filter(isApprovalDuty))
  const { identified, call } = authorized.classified
  const { principal } = identified
  const { text, shown } = call.exact?.() ?? {
    text: canonicalJson({ args: argumentsOf(call.args) }),
    shown: argumentsOf(call.args),
  }
  const digest = sha256(text)
  const { subject, presenter, act } = principal
  const who = {
    subject: subject.kind === 'workload' ? subject.id.uri : [subject.issuer, subject.subject],
    presenter: presenter.uri,
    act: act.map(({ uri }) => uri),
  }
  const { server, kind, name } = call.resource
  const asked = duties.map(({ by, rules }) => [by, [...rules]])
  const bound = {
    who,
    action: call.action.name,
    group: call.action.group,
    resource: [server, kind, name],
    digest,
    asked,
  }
  return {
    key: sha256(canonicalJson(bound)),
    digest,
    caller: callerFields(principal),
    parties: partiesOf(principal),
    action: { name: call.action.name, group: call.action.group },
    resource: { server, kind, name },
    shown: shownOf(shown),
    duties,
    policy: authorized.policyVersion,
  }
}

function argumentsOf(args: unknown): JsonValue {
  return isJsonObject(args as JsonValue) ? (args as JsonObject) : {}
}

/** One duty for each group, in one order. */
function together(duties: readonly ApprovalDuty[]): readonly ApprovalDuty[] {
  const groups = Map.groupBy(duties, ({ by }) => by)
  return Array.from(groups, ([by, some]): ApprovalDuty => {
    return { kind: 'approval', by, rules: [...new Set(some.flatMap(({ rules }) => rules))].toSorted() }
  }).toSorted((a, b) => (a.by < b.by ? -1 : 1))
}

/** What cannot be looked at as a whole is not shown: a long argument would hide the others. */
function shownOf(value: JsonValue): JsonValue | null {
  const shown = shortened(withoutSecrets(value))
  return utf8(canonicalJson(shown)).length > MAX_SHOWN ? null : shown
}

/** Of a text that is cut, its length and digest are told. */
function shortened(value: JsonValue): JsonValue {
  if (typeof value === 'string') {
    if (value.length <= MAX_TEXT) return value
    const head = value.slice(0, MAX_TEXT).toWellFormed()
    return `${head}… (${value.length} characters, SHA-256 ${sha256(value)})`
  }
  if (Array.isArray(value)) return value.map((each: JsonValue) => shortened(each))
  if (!isJsonObject(value)) return value
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, shortened(each)]))
}

export function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
