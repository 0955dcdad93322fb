/** Parses and validates a policy set in a throw-away thread, so that no text can harm the process. */

import { Worker } from 'node:worker_threads'
import { DoorwardError } from '@doorward/core'
import type { CompiledPolicy } from '@doorward/core'
import type { CedarPolicySet } from './cedar-module.ts'
import type { CheckResult } from './check-policy-worker.ts'

const MAX_TEXT = 8 * 1024 * 1024

export const checkTimeoutMilliseconds = 20_000

const workerFile = new URL(
  import.meta.url.endsWith('.ts') ? './check-policy-worker.ts' : './check-policy-worker.js',
  import.meta.url,
)

/** Limits of V8's heap and stack. The stack is smaller than the main thread's, so what passes here parses there. */
const resourceLimits = { maxOldGenerationSizeMb: 128, maxYoungGenerationSizeMb: 16, stackSizeMb: 0.75 }

export function policySet(policy: CompiledPolicy): CedarPolicySet {
  return { staticPolicies: Object.fromEntries(policy.policies.map(({ id, text }) => [id, text])) }
}

function refuseSize(policy: CompiledPolicy): void {
  const size = policy.policies.reduce((sum, { text }) => sum + text.length, 0)
  if (size > MAX_TEXT) {
    throw new DoorwardError('policy_too_large', 'the policy text is too large', {
      expected: `at most ${MAX_TEXT} characters`,
      got: String(size),
    })
  }
  const ids = new Set(policy.policies.map(({ id }) => id))
  if (ids.size !== policy.policies.length) throw new DoorwardError('policy_invalid', 'two policies have the same id')
}

function run(worker: Worker, timeoutMilliseconds: number): Promise<CheckResult> {
  return new Promise((resolve, reject) => {
    const fail = (code: string, message: string, cause?: unknown): void =>
      reject(new DoorwardError(code, message, { cause }))
    const timer = setTimeout(
      () => fail('policy_timeout', `checking the policy took more than ${timeoutMilliseconds} ms`),
      timeoutMilliseconds,
    )
    worker.once('message', (result: CheckResult) => resolve(result))
    worker.once('error', (error) => fail('policy_hostile', 'checking the policy broke the checker', error))
    worker.once('exit', () => {
      clearTimeout(timer)
      fail('policy_hostile', 'the policy checker ended without an answer')
    })
  })
}

/**
 * Resolves when Cedar parses every policy and the schema accepts it. Rejects with `policy_invalid` (with the first
 * mistakes), `policy_hostile` (the text broke the parser, such as hundreds of nested parentheses),
 * `policy_timeout`, `policy_too_large`.
 */
export async function checkPolicy(
  policy: CompiledPolicy,
  timeoutMilliseconds = checkTimeoutMilliseconds,
): Promise<void> {
  refuseSize(policy)
  const workerData = { schema: policy.schema, policies: policySet(policy) }
  const worker = new Worker(workerFile, { workerData, resourceLimits, env: {} })
  try {
    const problems = await run(worker, timeoutMilliseconds)
    if (problems.length === 0) return
    const list = problems.map(({ policyId, message }) => (policyId === '' ? message : `${policyId}: ${message}`))
    throw new DoorwardError('policy_invalid', `the policy is not valid: ${list.slice(0, 10).join('; ')}`, {
      where: problems[0]?.policyId || 'policy',
    })
  } finally {
    await worker.terminate()
  }
}
