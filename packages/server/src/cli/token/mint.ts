/** `doorward token mint`: a token of five minutes as this identity. It goes where it is told to, and nowhere otherwise. */

import type { Command } from 'commander'
import { DoorwardError } from '@doorward/core'
import type { TokenOptions } from '@doorward/sdk'
import { secretFrom } from '../../config/secret-input.ts'
import { writeNew } from '../audit-places.ts'
import type { CliContext } from '../context.ts'
import { asIdentity, asOption, asUserOption, noUserOption, onBehalfOf } from '../identity-option.ts'
import type { UserOptions } from '../identity-option.ts'
import { factsOf, tellFacts } from './facts.ts'

interface MintOptions extends UserOptions {
  readonly as?: string
  readonly onBehalfOf?: string
  readonly scope?: readonly string[]
  readonly mayAct?: readonly string[]
  readonly act?: boolean
  readonly out?: string
  readonly stdout: boolean
}

export function registerMint(token: Command, context: CliContext): void {
  token
    .command('mint')
    .description("get a token of five minutes, of use with this identity's certificate alone")
    .argument('<audience>', 'whom it is for: a server of the configuration, or the URL of one')
    .option(...asOption)
    .option(...asUserOption)
    .option(...noUserOption)
    .option('--on-behalf-of <file>', 'file with the token that somebody has called this identity with: act for them')
    .option('--scope <permission...>', 'narrow it to these permissions, such as read:files/*')
    .option('--may-act <id...>', 'SPIFFE IDs that may exchange it, all along the chain; whoever is called by default')
    .option('--no-act', 'nobody may exchange it')
    .option('--out <file>', 'write the token to this new file, for its owner alone')
    .option('--stdout', 'print the token', false)
    .addHelpText(
      'after',
      '\nWithout --out and --stdout it says what the token would hold, and shows none.\n\nExamples:\n  doorward token mint files --as agent/planner --out files.token\n  doorward token mint https://orders.acme.example:9443 --on-behalf-of callers.token --scope read:orders/* --stdout',
    )
    .action((audience: string, options: MintOptions) => mint(context, audience, options))
}

async function mint(context: CliContext, audience: string, options: MintOptions): Promise<void> {
  const deployment = await context.deployment()
  const { serverEndpoint } = await import('../../apps/bridge.ts')
  const { viewToken } = await import('../../apps/token-view.ts')
  const wanted = audience.includes('://') ? audience : serverEndpoint(deployment, audience).audience
  const asked = await askedOf(context, options)
  // Whoever acts for a caller acts for nobody else.
  const onBehalf = asked.onBehalfOf === undefined ? onBehalfOf(options) : 'itself'
  await asIdentity(context, { as: options.as, onBehalf }, async (identity) => {
    const token = await identity.token(wanted, asked)
    const view = viewToken(token, identity)
    if (options.out !== undefined) await writeNew(options.out, `${token.reveal()}\n`, 0o600)
    if (!options.stdout) return tellFacts(context, view)
    context.out(context.json ? JSON.stringify({ ...factsOf(view), token: token.reveal() }) : token.reveal())
  })
}

async function askedOf(context: CliContext, options: MintOptions): Promise<TokenOptions> {
  const { onBehalfOf: file, scope, mayAct, act = true } = options
  if (!act && mayAct !== undefined)
    throw new DoorwardError('options_contradict', '--may-act and --no-act say different things', {
      expected: 'one of the two, or none',
    })
  const { stdin, signal } = context
  const shown = file === undefined ? null : await secretFrom({ file, stdin, signal, ask: () => undefined })
  return {
    ...(shown === null ? {} : { onBehalfOf: shown }),
    ...(scope === undefined ? {} : { scope }),
    ...(act ? {} : { mayAct: [] }),
    ...(mayAct === undefined ? {} : { mayAct }),
  }
}
