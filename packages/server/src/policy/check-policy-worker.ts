/** The throw-away thread in which a policy set is parsed and validated: hostile text may kill it. */

import { parentPort, workerData } from 'node:worker_threads'
import { loadCedar } from './cedar-module.ts'
import type { CedarPolicySet } from './cedar-module.ts'

/** What is wrong, each with the id of its policy; an empty id means the set as a whole. */
export type CheckResult = readonly { readonly policyId: string; readonly message: string }[]

interface CheckInput {
  readonly schema: string
  readonly policies: CedarPolicySet
}

const MAX_REPORTED = 100

function check({ schema, policies }: CheckInput): CheckResult {
  const answer = loadCedar().validate({ schema, policies })
  const problems =
    answer.type === 'failure'
      ? answer.errors.map(({ message }) => ({ policyId: '', message }))
      : answer.validationErrors.map(({ policyId, error }) => ({ policyId, message: error.message }))
  return problems.slice(0, MAX_REPORTED)
}

parentPort?.postMessage(check(workerData as CheckInput))
