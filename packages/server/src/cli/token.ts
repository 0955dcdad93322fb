/** `doorward token`: get an access token as this identity, and see what one says. */

import type { Command } from 'commander'
import type { CliContext } from './context.ts'
import { registerInspect } from './token/inspect.ts'
import { registerMint } from './token/mint.ts'

export function register(program: Command, context: CliContext): void {
  const token = program
    .command('token')
    .description('get an access token as this identity, and see what one says')
    .addHelpText(
      'after',
      '\nExamples:\n  doorward token mint files --out files.token\n  doorward token inspect files.token',
    )
  registerMint(token, context)
  registerInspect(token, context)
}
