/** `doorward authority rotate`: new anchors and token keys now, in an order that loses no call. */

import type { Command } from 'commander'
import { CheckFailed } from '../failure.ts'
import { asOption } from '../identity-option.ts'
import type { CliContext } from '../context.ts'
import { painter } from '../output.ts'
import { ProgressLines } from './progress.ts'
import { operatingThrough } from './standing.ts'

interface RotateOptions {
  readonly as?: string
  readonly reason: string
  readonly reissue: boolean
  readonly retire: boolean
  readonly only?: string
}

export function registerRotate(authority: Command, context: CliContext): void {
  authority
    .command('rotate')
    .description('replace anchors and token keys now; no call is lost by it')
    .option('--reason <text>', 'for the record', 'planned rotation')
    .option('--reissue', 'everyone gets a new certificate at once instead of at half-life', false)
    .option(
      '--retire',
      'take the old anchors out of the bundle as soon as nothing needs them; implies --reissue',
      false,
    )
    .option('--only <name>', 'the keys of this authority alone')
    .option(...asOption)
    .addHelpText(
      'after',
      '\nExamples:\n  doorward authority rotate\n  doorward authority rotate --retire --reason "the yearly change"',
    )
    .action((options: RotateOptions) => rotate(context, options))
}

function rotate(context: CliContext, { as, reason, reissue, retire, only }: RotateOptions): Promise<void> {
  return operatingThrough(context, as, async ({ identity, admin }) => {
    const { watch } = await import('../../apps/recovery.ts')
    const lines = new ProgressLines(context)
    const wanted = { kind: 'rotate', reason, reissue, retire, ...(only === undefined ? {} : { only }) } as const
    const stopping = new AbortController()
    const running = identity.run(stopping.signal)
    try {
      const { id } = await admin.startCeremony(wanted)
      const onLook = lines.show.bind(lines)
      const ended = await watch({ identity, admin, onLook, signal: context.signal }, id)
      if (ended.stage === 'failed')
        throw new CheckFailed('rotation_failed', ended.stages.at(-1)?.note ?? 'the rotation has failed')
      if (context.json) context.out(JSON.stringify({ event: 'rotated', ceremony: id, replaced: ended.replaces }))
      else context.out(`${painter(context.color)('green', '✓')} ${ended.replaces.length} keys replaced`)
    } finally {
      stopping.abort()
      await running
    }
  })
}
