/** `doorward audit key`: the public key by which others check what comes out of a log. */

import type { Command } from 'commander'
import { DoorwardError } from '@doorward/core'
import { logOption, machineLogs, writeNew } from './audit-places.ts'
import type { CliContext } from './context.ts'

interface KeyOptions {
  readonly log?: string
  readonly out?: string
}

export function registerKey(audit: Command, context: CliContext): void {
  audit
    .command('key')
    .description('show the verifier keys of the logs: public, and to be handed over on another way than proofs are')
    .option(...logOption)
    .option('-o, --out <file>', 'write the key of one log to a file that is not there yet')
    .addHelpText('after', '\nExamples:\n  doorward audit key\n  doorward audit key --log gateway --out gateway.vkey')
    .action((options: KeyOptions) => key(options, context))
}

async function key({ log, out }: KeyOptions, context: CliContext): Promise<void> {
  const { readVerifierKey } = await import('../apps/log-places.ts')
  const { places, copyDir } = await machineLogs(context, { log })
  const known = await Promise.all(places.map(({ origin }) => readVerifierKey(copyDir, origin)))
  const keys = known.filter((each) => each !== null)
  const [first] = keys
  if (first === undefined) {
    throw new DoorwardError('log_key_missing', 'no verifier key is kept here', { where: copyDir })
  }
  if (out === undefined) return context.out(context.json ? JSON.stringify({ keys }) : keys.join('\n'))
  if (keys.length > 1) throw new DoorwardError('usage', 'a file holds one key', { expected: '--log with a name' })
  await writeNew(out, `${first}\n`)
  context.out(context.json ? JSON.stringify({ file: out }) : `${out} holds the key of ${places[0]?.origin ?? ''}`)
}
