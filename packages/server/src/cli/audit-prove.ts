/** `doorward audit prove`: a proof of one entry that others can check without us. */

import type { Command } from 'commander'
import { givenVerifier, logOfOrigin, readEntryName, writeNew } from './audit-places.ts'
import type { CliContext } from './context.ts'
import { painter } from './output.ts'

interface ProveOptions {
  readonly out?: string
  readonly receipt: boolean
  readonly key?: string
}

export function registerProve(audit: Command, context: CliContext): void {
  audit
    .command('prove')
    .description('write a proof of one entry, which anybody who has the key of the log can check')
    .argument('<id>', 'the id of the entry, which answers and logs call the decision')
    .option('-o, --out <file>', 'a file that is not there yet; standard output by default')
    .option('--receipt', 'prove place, time and digest, and show nothing of what the entry says', false)
    .option(
      '--key <vkey>',
      'verifier key of the log or a file with it, instead of the one that is kept beside the keys',
    )
    .addHelpText(
      'after',
      '\nExamples:\n  doorward audit prove example.org/gateway/main#17 --out call.tlog-proof\n  doorward audit verify --proof call.tlog-proof --key gateway.vkey',
    )
    .action((id: string, options: ProveOptions) => prove(id, options, context))
}

async function prove(id: string, options: ProveOptions, context: CliContext): Promise<void> {
  const { origin, index } = readEntryName(id)
  const { keptVerifier, proofOf } = await import('../apps/prove-log.ts')
  const { place, copyDir } = await logOfOrigin(context, origin)
  const verifier = options.key === undefined ? await keptVerifier(place, copyDir) : await givenVerifier(options.key)
  const show = options.receipt ? 'receipt' : 'entry'
  const proof = await proofOf(place, { index, show, verifier })
  // The entry may be for few people to read.
  if (options.out !== undefined) await writeNew(options.out, proof, 0o600)
  if (context.json) {
    return context.out(
      JSON.stringify({ entry: id, show, ...(options.out === undefined ? { proof } : { file: options.out }) }),
    )
  }
  if (options.out === undefined) return void context.stdout.write(proof)
  const what = options.receipt
    ? 'that it stands there, and nothing of what it says'
    : 'what it says and that it stands there'
  context.out(`${painter(context.color)('green', '✓')} ${options.out} proves ${what}: ${id}`)
}
