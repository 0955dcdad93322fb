/** `doorward authority forget`: an authority that will not come back leaves the trust domain. */

import type { Command } from 'commander'
import { confirmed } from '../confirmation.ts'
import { CheckFailed } from '../failure.ts'
import { asOption } from '../identity-option.ts'
import type { CliContext } from '../context.ts'
import { painter, printable } from '../output.ts'
import { operating } from './standing.ts'

interface ForgetOptions {
  readonly as?: string
  readonly yes: boolean
}

export function registerForget(authority: Command, context: CliContext): void {
  authority
    .command('forget')
    .description('forget an authority that does not run any more: what it has issued is refused from then on')
    .argument('<name>', 'its name, as authority status shows it')
    .option('--yes', 'do not ask', false)
    .option(...asOption)
    .addHelpText('after', '\nExample:\n  doorward authority forget west')
    .action((name: string, options: ForgetOptions) => forget(context, name, options))
}

async function forget(context: CliContext, name: string, { as, yes }: ForgetOptions): Promise<void> {
  const question = `Forget authority ${printable(name)} and refuse what it has issued?`
  if (!yes && !(await confirmed(context, question, 'say that it is meant with --yes')))
    throw new CheckFailed('not_confirmed', 'nothing was changed')
  await operating(context, as, async ({ admin }) => {
    await admin.forgetAuthority(name)
    if (context.json) context.out(JSON.stringify({ event: 'forgotten', name }))
    else context.out(`${painter(context.color)('green', '✓')} ${printable(name)} is forgotten; its name is free`)
  })
}
