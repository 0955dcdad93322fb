/** What is wrong with a policy, and where. */

import { DoorwardError } from '@doorward/core'

export interface PolicyProblem {
  /**
   * `policy_syntax`, `policy_type`, `policy_template`, `policy_unreadable`, `policy_duplicate`, `policy_own_api`,
   * `policy_server_unknown`, `policy_item_unknown`, `policy_role_unknown`, `policy_trust_domain`; as warnings
   * `policy_item_unknown` (of a tool), `policy_argument_unknown`, `policy_impossible`, `policy_arguments_unknown`,
   * `policy_unchecked`.
   */
  readonly code: string
  readonly policyId: string | null
  /** `<file>:<line>:<column>`, both from 1; the id of a policy that was made from a role. */
  readonly where: string
  readonly message: string
  readonly help: string | null
}

/** One line, as compilers write it. */
export function describeProblem({ where, message, help }: PolicyProblem): string {
  return `${where}: ${message}${help === null ? '' : ` (${help})`}`
}

const MAX_NAMED = 10

/** `policy_invalid`: names the first mistakes, and has all of them. */
export class PolicyInvalid extends DoorwardError {
  readonly problems: readonly PolicyProblem[]

  constructor(problems: readonly PolicyProblem[]) {
    const list = problems.slice(0, MAX_NAMED).map(describeProblem)
    super('policy_invalid', `the policy is not valid: ${list.join('; ')}`, {
      where: problems[0]?.where ?? 'policy',
      next: 'doorward policy check shows every mistake',
    })
    this.problems = problems
  }
}
