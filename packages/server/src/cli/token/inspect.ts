/** `doorward token inspect`: what a token says, and whether it is good now. */

import type { Command } from 'commander'
import { isDoorwardError } from '@doorward/core'
import { secretFrom } from '../../config/secret-input.ts'
import type { CliContext } from '../context.ts'
import { CheckFailed } from '../failure.ts'
import { asIdentity, asOption } from '../identity-option.ts'
import { tellFacts } from './facts.ts'

export function registerInspect(token: Command, context: CliContext): void {
  token
    .command('inspect')
    .description('show what a token of this trust domain says; 1 when it is not good now')
    .argument('[file]', 'file with the token; standard input without it')
    .option(...asOption)
    .addHelpText(
      'after',
      '\nNot asked: whether it is for you, and whether somebody has revoked it.\n\nExamples:\n  doorward token inspect files.token\n  doorward token inspect --json < files.token',
    )
    .action((file: string | undefined, options: { readonly as?: string }) => inspect(context, file, options.as))
}

async function inspect(context: CliContext, file: string | undefined, as: string | undefined): Promise<void> {
  const { stdin, signal } = context
  const shown = await secretFrom({ file, stdin, signal, ask: (text) => context.err(text) })
  const { viewToken } = await import('../../apps/token-view.ts')
  await asIdentity(context, as, async (identity) => {
    try {
      const view = viewToken(shown, identity)
      tellFacts(context, view)
      if (view.problem !== null) context.fail()
    } catch (error) {
      if (!isDoorwardError(error, 'token_unknown')) throw error
      const { code, message, expected = '' } = error
      throw new CheckFailed(code, message, { expected })
    }
  })
}
