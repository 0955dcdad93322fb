/** `doorward logout`: this identity calls for itself again. */

import type { Command } from 'commander'
import { userName } from '@doorward/core'
import type { CliContext } from './context.ts'
import { asOption } from './identity-option.ts'
import { printable } from './output.ts'

export function register(program: Command, context: CliContext): void {
  program
    .command('logout')
    .description('forget who has signed in: calls of this identity are made for itself again')
    .option(...asOption)
    .addHelpText('after', '\nTokens that are under way end within five minutes.\n\nExample:\n  doorward logout')
    .action(({ as }: { readonly as?: string }) => logout(context, as))
}

async function logout(context: CliContext, as: string | undefined): Promise<void> {
  const { openLoginStore } = await import('../apps/local-identities.ts')
  const store = await openLoginStore({ deployment: await context.deployment(), environment: context.environment }, as)
  // One that cannot be read is forgotten all the same.
  const held = await store.read().catch(() => null)
  await store.remove()
  if (context.json) context.out(JSON.stringify({ signed_in: false, was: held === null ? null : userName(held.user) }))
  else context.out(held === null ? 'nobody was signed in' : `signed out ${printable(userName(held.user))}`)
}
