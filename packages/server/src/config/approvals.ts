/** What the section `approvals` means. */

import { DoorwardError, parseSpiffeIdPattern } from '@doorward/core'
import type { SpiffeIdPattern, TrustDomain } from '@doorward/core'
import type { ApprovalsSection } from './approval-schema.ts'
import type { Configuration } from './schema.ts'

interface ApprovalProblem {
  readonly keys: readonly (string | number)[]
  readonly message: string
  readonly expected: string | null
  readonly got: string | null
}

/** Mistakes in who may approve; those in rules are told with the policy. */
export function approvalProblems({ approvals }: Configuration, trustDomain: TrustDomain): readonly ApprovalProblem[] {
  return Object.entries(approvals.groups).flatMap(([name, { workloads, users }]) => {
    const keys = ['approvals', 'groups', name]
    const nobody = workloads.length === 0 && users.length === 0
    return [
      ...workloads.flatMap((text, i) => patternProblems([...keys, 'workloads', i], text, trustDomain)),
      ...users.flatMap((text, i) => userProblems([...keys, 'users', i], text)),
      ...(nobody
        ? [
            {
              keys,
              message: 'a group of nobody: nothing could ever be approved',
              expected: 'workloads or users',
              got: null,
            },
          ]
        : []),
    ]
  })
}

function patternProblems(
  keys: ApprovalProblem['keys'],
  text: string,
  trustDomain: TrustDomain,
): readonly ApprovalProblem[] {
  try {
    const pattern = parseSpiffeIdPattern(text)
    if (pattern.trustDomain === trustDomain) return []
    return [{ keys, message: 'an approver outside the trust domain', expected: `spiffe://${trustDomain}/…`, got: text }]
  } catch (error) {
    if (!(error instanceof DoorwardError)) throw error
    return [{ keys, message: error.message, expected: error.expected ?? null, got: error.got ?? null }]
  }
}

function userProblems(keys: ApprovalProblem['keys'], text: string): readonly ApprovalProblem[] {
  const hash = text.indexOf('#')
  if (hash > 0 && hash < text.length - 1 && text.isWellFormed()) return []
  return [{ keys, message: 'not a user', expected: '<issuer>#<subject>, as the record names people', got: text }]
}

/** Shape as the gateway asks for it. */
export function approvalSettings({ approvals }: Configuration) {
  return {
    waitMilliseconds: approvals.wait_seconds * 1000,
    expiresMilliseconds: approvals.expires_seconds * 1000,
    groups: new Map(Object.entries(approvals.groups).map(([name, group]) => [name, groupOf(group)])),
  }
}

function groupOf({ workloads, users }: ApprovalsSection['groups'][string]) {
  const patterns: readonly SpiffeIdPattern[] = workloads.map((text) => parseSpiffeIdPattern(text))
  return { workloads: patterns, users: new Set(users), links: false }
}
