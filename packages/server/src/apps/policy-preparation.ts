/** The policy of a deployment, judged without starting anything. */

import { compiledPolicy } from '../config/policy-source.ts'
import { ConfigurationError } from '../config/problem.ts'
import type { Problem } from '../config/problem.ts'
import type { Deployment } from '../config/settings.ts'
import type { PolicyProblem } from '../policy/policy-problem.ts'
import { preparePolicy } from '../policy/prepare-policy.ts'

export interface JudgedPolicy {
  readonly policies: number
  readonly warnings: readonly Problem[]
}

/**
 * How many policies there are, and what is doubtful about them. Throws a ConfigurationError with every mistake in what the
 * configuration says and names, and the codes of `preparePolicy`.
 */
export async function judgePolicy(deployment: Deployment): Promise<JudgedPolicy> {
  const { policies, problems, warnings } = await preparePolicy(await compiledPolicy(deployment))
  if (problems.length > 0) throw new ConfigurationError(deployment.file, problems.map(placed))
  return { policies: policies.length, warnings: warnings.map(placed) }
}

/** At `<file>:<line>:<column>`, or at the policy that was made from a role. */
function placed({ where, message, help }: PolicyProblem): Problem {
  const [, file = '', line = '', column = ''] = /^(.*):([0-9]+):([0-9]+)$/s.exec(where) ?? []
  const said = { message: help === null ? message : `${message} (${help})`, expected: null, got: null }
  if (file === '') return { line: null, path: where, ...said }
  return { file, line: Number(line), column: Number(column), path: '', ...said }
}
