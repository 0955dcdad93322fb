/** Cedar text as the official formatter lays it out, in a throw-away thread. */

import { Worker } from 'node:worker_threads'
import { DoorwardError } from '@doorward/core'

const workerFile = new URL(
  import.meta.url.endsWith('.ts') ? './format-policies-worker.ts' : './format-policies-worker.js',
  import.meta.url,
)

const resourceLimits = { maxOldGenerationSizeMb: 256, maxYoungGenerationSizeMb: 16, stackSizeMb: 0.75 }

const TIMEOUT_MILLISECONDS = 20_000

/** One for each, in order; what cannot be formatted stays as it is. Rejects with `policy_hostile`, `policy_timeout`. */
export async function formatPolicies(texts: readonly string[]): Promise<readonly string[]> {
  const worker = new Worker(workerFile, { workerData: texts, resourceLimits, env: {} })
  try {
    return await new Promise<readonly string[]>((resolve, reject) => {
      const fail = (code: string, message: string): void => reject(new DoorwardError(code, message))
      const late = () => fail('policy_timeout', `formatting took more than ${TIMEOUT_MILLISECONDS} ms`)
      const timer = setTimeout(late, TIMEOUT_MILLISECONDS)
      worker.once('message', resolve)
      worker.once('error', () => fail('policy_hostile', 'the policy broke its formatter'))
      worker.once('exit', () => {
        clearTimeout(timer)
        fail('policy_hostile', 'the formatter ended without an answer')
      })
    })
  } finally {
    await worker.terminate()
  }
}
