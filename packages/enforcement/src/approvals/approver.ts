/** Who may approve: members of the group that is asked, and nobody who takes part in the call. */

import { matchesSpiffeId } from '@doorward/core'
import type { Principal, SpiffeIdPattern } from '@doorward/core'

/** A group of approvers. */
export interface ApproverGroup {
  readonly workloads: readonly SpiffeIdPattern[]
  /** `<issuer>#<subject>`. */
  readonly users: ReadonlySet<string>
  /** Whether somebody with a link may answer in its name. */
  readonly links: boolean
}

export type ApproverGroups = ReadonlyMap<string, ApproverGroup>

/** Names of everybody who takes part in a call: SPIFFE IDs, and `<issuer>#<subject>`. */
export function partiesOf({ subject, presenter, act }: Principal): readonly string[] {
  const behalf = subject.kind === 'workload' ? subject.id.uri : `${subject.issuer}#${subject.subject}`
  return [...new Set([presenter.uri, ...act.map(({ uri }) => uri), behalf])]
}

/**
 * By which name a caller may approve: a workload by its own, for itself alone; a person by theirs, whatever workload they
 * use. Null for whoever acts for another workload.
 */
export function approverName({ subject, presenter, act }: Principal): string | null {
  if (act.length > 0) return null
  if (subject.kind === 'user') return `${subject.issuer}#${subject.subject}`
  return subject.id.uri === presenter.uri ? presenter.uri : null
}

/** Groups that the caller is a member of. */
export function groupsOf(principal: Principal, groups: ApproverGroups): ReadonlySet<string> {
  const name = approverName(principal)
  if (name === null) return new Set()
  const { subject, presenter } = principal
  const isMember = ({ workloads, users }: ApproverGroup) =>
    subject.kind === 'user' ? users.has(name) : workloads.some((pattern) => matchesSpiffeId(pattern, presenter))
  return new Set(Array.from(groups).flatMap(([group, one]) => (isMember(one) ? [group] : [])))
}

/** Nobody approves what they take part in: neither by the same workload, nor as the same person by another. */
export function takesPart(principal: Principal, parties: readonly string[]): boolean {
  return partiesOf(principal).some((party) => parties.includes(party))
}
