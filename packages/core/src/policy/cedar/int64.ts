/** What fits in the 64 bits of Cedar's numbers. */

import { EvaluationError } from './evaluation-error.ts'

const LEAST = -(2n ** 63n)
const MOST = 2n ** 63n - 1n

/** The value itself. Throws `EvaluationError` where 64 bits with a sign do not hold it. */
export function int64(value: bigint): bigint {
  if (value < LEAST || value > MOST) throw new EvaluationError('overflow of 64 bits')
  return value
}
