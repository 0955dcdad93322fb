/** Expectations of a policy, held against what it decides. */

import { approversIn, PolicyCoverage } from '@doorward/core'
import type { CoverageReport, Explanation, KnownNames, PolicyExplainer, Verdict } from '@doorward/core'
import { requestOf } from './policy-tools-question.ts'
import type { Question } from './policy-tools-question.ts'

/** `approval`: allowed once a human has approved it. */
type Answer = 'allow' | 'approval' | 'deny'

export interface Expectation {
  readonly name: string
  /** `<file>:<line>`. */
  readonly where: string
  readonly question: Question
  readonly expect: Answer
  readonly reason: 'none' | 'forbid' | 'error' | null
  /** Ids of the policies that decide, in any order; null for any. */
  readonly by: readonly string[] | null
}

export interface ExpectationOutcome {
  readonly expectation: Expectation
  readonly met: boolean
  readonly got: Answer
  readonly reason: 'none' | 'forbid' | 'error' | null
  readonly by: readonly string[]
  readonly explanation: Explanation
}

export interface ExpectationRun {
  readonly outcomes: readonly ExpectationOutcome[]
  readonly coverage: CoverageReport
}

/** `ids`: of the policies that are to be covered. Throws what `requestOf` throws. */
export function runExpectations(
  expectations: readonly Expectation[],
  explainer: PolicyExplainer,
  { known, ids }: { readonly known: KnownNames; readonly ids: readonly string[] },
): ExpectationRun {
  const coverage = new PolicyCoverage()
  const outcomes = expectations.map((expectation) => {
    const explanation = explainer.explain(requestOf(expectation.question, known))
    coverage.note(explanation)
    return outcomeOf(expectation, explanation)
  })
  return { outcomes, coverage: coverage.report(ids) }
}

function outcomeOf(expectation: Expectation, explanation: Explanation): ExpectationOutcome {
  const { verdict } = explanation
  const reason = verdict.effect === 'deny' ? verdict.reason : null
  const by = verdict.policies
  const asked = expectation.by
  const got = answerOf(verdict)
  const met =
    got === expectation.expect &&
    (expectation.reason === null || expectation.reason === reason) &&
    (asked === null || (new Set(asked).size === new Set(by).size && by.every((id) => asked.includes(id))))
  return { expectation, met, got, reason, by, explanation }
}

function answerOf(verdict: Verdict): Answer {
  if (verdict.effect === 'deny') return 'deny'
  return approversIn(verdict.obligations).length > 0 ? 'approval' : 'allow'
}
