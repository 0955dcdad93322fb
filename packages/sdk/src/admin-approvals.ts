/** What a gateway tells of calls that wait for an approval, read strictly. */

import { isJsonObject } from '@doorward/core'
import type { JsonObject, JsonValue } from '@doorward/core'
import { invalidAnswer } from './admin-workload.ts'

/** A call that waits, or that was answered and is not over. */
export interface ApprovalView {
  readonly id: string
  readonly state: 'pending' | 'approved' | 'denied'
  /** Of everything that is asked for, for whoever answers exactly that. */
  readonly digest: string
  /** Who calls, and for whom. */
  readonly caller: string
  readonly action: string
  /** `read`, `write` or `admin`. */
  readonly group: string
  readonly server: string
  readonly name: string
  /** Groups of which somebody has to approve. */
  readonly approvers: readonly string[]
  readonly rules: readonly string[]
  /** Groups of which somebody has. */
  readonly given: readonly string[]
  /** Seconds since 1970. */
  readonly created: number
  readonly expires: number
  /** Without known secrets; undefined in lists. */
  readonly arguments: JsonValue | undefined
  readonly document: JsonObject
}

export interface ApprovalAnswerBody {
  readonly approve: boolean
  readonly requests: readonly Pick<ApprovalView, 'id' | 'digest'>[]
  readonly reason?: string
}

/** `waiting`: somebody of another group has to approve, too. */
export interface ApprovalResult {
  readonly id: string
  readonly outcome: 'approved' | 'denied' | 'waiting' | 'unknown' | 'changed' | 'decided' | 'takes_part'
}

export function readApprovals({ requests }: JsonObject): readonly ApprovalView[] {
  return listOf(requests).map((one) => readApproval(objectOf(one)))
}

export function readApproval(document: JsonObject): ApprovalView {
  const { state, created, expires } = document
  const { server, name } = objectOf(document['resource'])
  if (state !== 'pending' && state !== 'approved' && state !== 'denied') throw invalidAnswer('a known state')
  if (typeof created !== 'number' || typeof expires !== 'number') throw invalidAnswer('times')
  return {
    id: textOf(document['id']),
    state,
    digest: textOf(document['digest']),
    caller: textOf(document['caller']),
    action: textOf(document['action']),
    group: textOf(document['group']),
    server: textOf(server),
    name: textOf(name),
    approvers: listOf(document['approvers']).map((one) => textOf(one)),
    rules: listOf(document['rules']).map((one) => textOf(one)),
    given: listOf(document['given']).map((one) => textOf(objectOf(one)['group'])),
    created,
    expires,
    arguments: document['arguments'],
    document,
  }
}

const outcomes: Readonly<Record<ApprovalResult['outcome'], true>> = {
  approved: true,
  denied: true,
  waiting: true,
  unknown: true,
  changed: true,
  decided: true,
  takes_part: true,
}

export function readApprovalResults({ results }: JsonObject): readonly ApprovalResult[] {
  return listOf(results).map((one) => {
    const { id, outcome } = objectOf(one)
    if (typeof outcome !== 'string' || !isOutcome(outcome)) throw invalidAnswer('a known outcome')
    return { id: textOf(id), outcome }
  })
}

function isOutcome(text: string): text is ApprovalResult['outcome'] {
  return Object.hasOwn(outcomes, text)
}

function listOf(value: JsonValue | undefined): readonly JsonValue[] {
  if (!Array.isArray(value)) throw invalidAnswer('a list')
  return value as readonly JsonValue[]
}

function objectOf(value: JsonValue | undefined): JsonObject {
  if (!isJsonObject(value)) throw invalidAnswer('an object')
  return value
}

function textOf(value: JsonValue | undefined): string {
  if (typeof value !== 'string') throw invalidAnswer('texts')
  return value
}
