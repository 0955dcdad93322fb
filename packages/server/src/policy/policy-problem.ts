/** What is wrong with a policy, and where. */

export interface PolicyProblem {
  /**
   * `policy_syntax`, `policy_type`, `policy_template`, `policy_unreadable`, `policy_duplicate`, `policy_own_api`; as
   * warnings `policy_impossible`, `policy_arguments_unknown`.
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
