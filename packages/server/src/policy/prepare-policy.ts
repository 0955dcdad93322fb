/** Reads and checks policies in a throw-away thread, so that no text can harm the process. */

import { getCompileCacheDir } from 'node:module'
import { dirname } from 'node:path'
import { Worker } from 'node:worker_threads'
import { DoorwardError } from '@doorward/core'
import type { CompiledPolicy } from '@doorward/core'
import { PolicyInvalid } from './policy-problem.ts'
import type { Prepared } from './prepare-policy-worker.ts'

const MAX_TEXT = 8 * 1024 * 1024

/** Generous, because a machine may be busy: nothing waits for it but the change itself. */
export const prepareTimeoutMilliseconds = 60_000

const workerFile = new URL(
  import.meta.url.endsWith('.ts') ? './prepare-policy-worker.ts' : './prepare-policy-worker.js',
  import.meta.url,
)

/** Nothing of ours but where compiled code is kept, if that was asked for. */
const compiled = getCompileCacheDir()
const env = compiled === undefined ? {} : { NODE_COMPILE_CACHE: dirname(compiled) }

/** Limits of V8's heap and stack. */
const resourceLimits = { maxOldGenerationSizeMb: 256, maxYoungGenerationSizeMb: 16, stackSizeMb: 0.75 }

function refuseSize(policy: CompiledPolicy): void {
  const size = [...policy.policies, ...policy.files].reduce((sum, { text }) => sum + text.length, 0)
  if (size > MAX_TEXT) {
    throw new DoorwardError('policy_too_large', 'the policy text is too large', {
      expected: `at most ${MAX_TEXT} characters`,
      got: String(size),
    })
  }
}

function run(worker: Worker, timeoutMilliseconds: number, stopping: AbortSignal | undefined): Promise<Prepared> {
  return new Promise((resolve, reject) => {
    const fail = (code: string, message: string, cause?: unknown): void =>
      reject(new DoorwardError(code, message, { cause }))
    const timer = setTimeout(
      () => fail('policy_timeout', `reading the policy took more than ${timeoutMilliseconds} ms`),
      timeoutMilliseconds,
    )
    const onStop = () => fail('stopping', 'stopped while reading the policy')
    stopping?.addEventListener('abort', onStop, { once: true })
    if (stopping?.aborted === true) onStop()
    worker.once('message', (result: Prepared) => resolve(result))
    worker.once('error', (error) => fail('policy_hostile', 'the policy broke its reader', error))
    worker.once('exit', () => {
      clearTimeout(timer)
      stopping?.removeEventListener('abort', onStop)
      fail('policy_hostile', 'the reader of the policy ended without an answer')
    })
  })
}

/**
 * What the policies say, checked by the official build, with everything that is wrong with them. Rejects with
 * `policy_hostile` (the text broke the parser, such as thousands of nested parentheses), `policy_timeout`,
 * `policy_too_large`, and with `stopping` when that signal aborts.
 */
export async function preparePolicy(
  policy: CompiledPolicy,
  timeoutMilliseconds = prepareTimeoutMilliseconds,
  stopping?: AbortSignal,
): Promise<Prepared> {
  refuseSize(policy)
  const worker = new Worker(workerFile, { workerData: policy, resourceLimits, env })
  try {
    return await run(worker, timeoutMilliseconds, stopping)
  } finally {
    await worker.terminate()
  }
}

/** Throws `policy_invalid`. */
export function refuseProblems({ problems }: Prepared): void {
  if (problems.length > 0) throw new PolicyInvalid(problems)
}
