/** Requests for approvals, as people read them. Pure. */

import { createHash } from 'node:crypto'
import { spelledOut } from '@doorward/core'
import type { JsonValue } from '@doorward/core'
import type { ApprovalView } from '@doorward/sdk'
import { painter, printable } from '../output.ts'

/** A short name for one caller and what it calls, the same wherever it is asked for. */
export function subjectOf({ caller, action, server, name }: ApprovalView): string {
  const text = JSON.stringify([caller, action, server, name])
  return createHash('sha256').update(text).digest('hex').slice(0, 12)
}

export function targetOf({ server, name }: ApprovalView): string {
  return printable(spelledOut(`${server}/${name}`))
}

/** Until the request, or the approval, is good for nothing. */
export function remaining({ expires }: ApprovalView, now = Date.now()): string {
  const seconds = Math.max(0, expires - Math.floor(now / 1000))
  return seconds < 120 ? `${seconds} s` : `${Math.floor(seconds / 60)} min`
}

const effects: Readonly<Record<string, string>> = {
  read: 'it counts as reading',
  write: 'it changes something',
  admin: 'it administers something',
}

/** Everything that is known of a request, arguments with it. */
export function requestLines(request: ApprovalView, color: boolean): readonly string[] {
  const paint = painter(color)
  const { id, state, caller, action, group, approvers, rules, digest } = request
  return [
    `${paint('bold', id)}  ${state}, over in ${remaining(request)}`,
    `  ${printable(caller)}`,
    `  ${printable(action)} ${targetOf(request)}: ${effects[group] ?? printable(group)}`,
    `  asked for by ${printable(rules.join(', '))}`,
    `  ${printable(approvers.join(' and '))} can approve it`,
    ...argumentLines(request.arguments),
    `  digest ${digest}`,
  ]
}

/** Texts come from whoever calls: whatever nobody sees is spelled out. */
function argumentLines(value: JsonValue | undefined): readonly string[] {
  if (value === undefined) return []
  return JSON.stringify(value, null, 2)
    .split('\n')
    .map((line) => `  | ${printable(spelledOut(line))}`)
}
