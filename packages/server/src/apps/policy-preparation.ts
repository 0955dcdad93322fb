/** The policy of a deployment and its candidate, judged without starting anything. */

import { dirname, isAbsolute, join, resolve } from 'node:path'
import { isDoorwardError } from '@doorward/core'
import { candidateDeployment } from '../config/policy-reading.ts'
import { compiledPolicy } from '../config/policy-source.ts'
import { ConfigurationError } from '../config/problem.ts'
import type { Problem } from '../config/problem.ts'
import type { Deployment } from '../config/settings.ts'
import type { PolicyProblem } from '../policy/policy-problem.ts'
import { preparePolicy } from '../policy/prepare-policy.ts'

export interface JudgedPolicy {
  readonly policies: number
  /** Of the candidate, too. */
  readonly warnings: readonly Problem[]
  /** `policy.shadow`, as it is named there; null without one. */
  readonly candidate: { readonly file: string; readonly policies: number } | null
}

interface Judged extends Pick<JudgedPolicy, 'policies' | 'warnings'> {
  readonly problems: readonly Problem[]
}

/**
 * How many policies there are, and what is doubtful about them. Throws a ConfigurationError with every mistake in what the
 * configuration and the candidate say and name, and the codes of `preparePolicy`.
 */
export async function judgePolicy(deployment: Deployment): Promise<JudgedPolicy> {
  const active = await judge(deployment)
  const candidate = await judgeCandidate(deployment)
  const problems = [...active.problems, ...(candidate?.problems ?? [])]
  if (problems.length > 0) throw new ConfigurationError(deployment.file, problems)
  const { policies } = active
  const warnings = [...active.warnings, ...(candidate?.warnings ?? [])]
  return { policies, warnings, candidate: candidate && { file: candidate.file, policies: candidate.policies } }
}

async function judge(deployment: Deployment): Promise<Judged> {
  try {
    const { policies, problems, warnings } = await preparePolicy(await compiledPolicy(deployment))
    return { policies: policies.length, problems: problems.map(placed), warnings: warnings.map(placed) }
  } catch (error) {
    if (error instanceof ConfigurationError) return { policies: 0, problems: error.problems, warnings: [] }
    throw error
  }
}

/** A running part goes on without a candidate that is wrong; whoever asks beforehand is told of all that is. */
async function judgeCandidate(deployment: Deployment): Promise<(Judged & { readonly file: string }) | null> {
  const file = deployment.configuration.policy.shadow
  if (file === undefined) return null
  try {
    const judged = await judge(await candidateDeployment(deployment, resolve(deployment.folder, file)))
    const within = (problem: Problem) => inCandidate(problem, file)
    return { ...judged, file, problems: judged.problems.map(within), warnings: judged.warnings.map(within) }
  } catch (error) {
    if (error instanceof ConfigurationError)
      return { file, policies: 0, warnings: [], problems: error.problems.map((one) => inCandidate(one, file)) }
    if (!isDoorwardError(error)) throw error
    const { message, expected = 'a configuration', got = file } = error
    const place = { line: deployment.lineOf(['policy', 'shadow']), path: 'policy.shadow' }
    return { file, policies: 0, warnings: [], problems: [{ ...place, message, expected, got }] }
  }
}

/** Files are named from the folder of whatever names them. */
function inCandidate(problem: Problem, candidate: string): Problem {
  const { file } = problem
  if (file === undefined) return { ...problem, file: candidate }
  return { ...problem, file: isAbsolute(file) ? file : join(dirname(candidate), file) }
}

/** At `<file>:<line>:<column>`, or at the policy that was made from a role. */
function placed({ where, message, help }: PolicyProblem): Problem {
  const [, file = '', line = '', column = ''] = /^(.*):([0-9]+):([0-9]+)$/s.exec(where) ?? []
  const said = { message: help === null ? message : `${message} (${help})`, expected: null, got: null }
  if (file === '') return { line: null, path: where, ...said }
  return { file, line: Number(line), column: Number(column), path: '', ...said }
}
