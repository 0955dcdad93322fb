/** What the authority refuses about keys and delegations, in words that say what to do. */

import { ServerRefused } from '@doorward/sdk'
import { CheckFailed } from '../failure.ts'

const advice: Readonly<Record<string, string>> = {
  conflict: 'look at it: doorward authority status',
  delegation_refused: 'ask for the statement anew, and sign exactly that with the recovery root of this trust domain',
  resource_unknown: 'look at the names: doorward authority status',
}

/** Runs the work; refusals end with exit 1 and say what was said. */
export async function explainingRefusals<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw error instanceof ServerRefused ? explained(error) : error
  }
}

function explained(error: ServerRefused): Error {
  const said = error.details?.['said']
  if (typeof said !== 'string') return error
  const next = advice[error.code]
  return new CheckFailed(error.code, error.message, { got: said, ...(next === undefined ? {} : { next }) })
}
