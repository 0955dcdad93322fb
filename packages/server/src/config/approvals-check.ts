/** Mistakes in the section `approvals` that only show when several keys are read together. */

import { DoorwardError, parseSpiffeIdPattern } from '@doorward/core'
import type { TrustDomain } from '@doorward/core'
import type { ApprovalsSection } from './approval-schema.ts'
import { webhookProblems } from './export-check.ts'
import type { Configuration } from './schema.ts'

interface ApprovalProblem {
  readonly keys: readonly (string | number)[]
  readonly message: string
  readonly expected: string | null
  readonly got: string | null
}

/** Mistakes in who may approve; those in rules are told with the policy. */
export function approvalProblems({ approvals }: Configuration, trustDomain: TrustDomain): readonly ApprovalProblem[] {
  return [...linkProblems(approvals), ...groupProblems(approvals, trustDomain)]
}

function linkProblems({ links, public_url, groups }: ApprovalsSection): readonly ApprovalProblem[] {
  const keys = ['approvals', 'links']
  if (!links) return []
  const hooked = Object.values(groups).some(({ webhook }) => webhook !== undefined)
  return [
    ...(public_url === undefined
      ? [{ keys, message: 'links that lead nowhere', expected: 'approvals.public_url beside it', got: 'true' }]
      : []),
    ...(hooked
      ? []
      : [{ keys, message: 'links that nobody is sent', expected: 'a group with a webhook', got: 'true' }]),
  ]
}

function groupProblems(approvals: ApprovalsSection, trustDomain: TrustDomain): readonly ApprovalProblem[] {
  return Object.entries(approvals.groups).flatMap(([name, { workloads, users, webhook }]) => {
    const keys = ['approvals', 'groups', name]
    const linked = approvals.links && webhook !== undefined
    const nobody = workloads.length === 0 && users.length === 0 && !linked
    return [
      ...workloads.flatMap((text, i) => patternProblems([...keys, 'workloads', i], text, trustDomain)),
      ...users.flatMap((text, i) => userProblems([...keys, 'users', i], text)),
      ...(webhook === undefined ? [] : webhookProblems([...keys, 'webhook'], webhook)),
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
