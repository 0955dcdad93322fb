/** Asking before something is changed. */

import { createInterface } from 'node:readline/promises'
import { DoorwardError } from '@doorward/core'
import type { CliContext } from './context.ts'

/** Only a person at a terminal can be asked; everybody else says --yes. Throws `confirmation_needed`. */
export async function confirmed(
  context: CliContext,
  question: string,
  next = 'look at it with --dry-run, then write it with --yes',
): Promise<boolean> {
  const terminal = 'isTTY' in context.stdin && context.stdin.isTTY === true
  if (!terminal || context.json)
    throw new DoorwardError('confirmation_needed', 'nobody is there to confirm the change', { next })
  const lines = createInterface({ input: context.stdin, output: context.stderr })
  try {
    return /^y(es)?$/i.test((await lines.question(`${question} [y/N] `, { signal: context.signal })).trim())
  } finally {
    lines.close()
  }
}
