/** `doorward audit tail`: the newest entries, and what comes. */

import type { Command } from 'commander'
import { DoorwardError } from '@doorward/core'
import { entryDocument, entryLine } from './audit-line.ts'
import { checkpointsOption, logOption, machineLogs, recordOption } from './audit-places.ts'
import type { LogOptions } from './audit-places.ts'
import type { CliContext } from './context.ts'

interface TailOptions extends LogOptions {
  readonly lines: string
  readonly follow: boolean
}

export function registerTail(audit: Command, context: CliContext): void {
  audit
    .command('tail')
    .description('show the newest entries of all logs of this machine in order of time, and with --follow what comes')
    .option(...logOption)
    .option(...recordOption)
    .option(...checkpointsOption)
    .option('-n, --lines <count>', 'how many entries to begin with', '20')
    .option('-f, --follow', 'keep showing new entries', false)
    .addHelpText('after', '\nExamples:\n  doorward audit tail\n  doorward audit tail --log authority --follow --json')
    .action((options: TailOptions) => tail(options, context))
}

async function tail(options: TailOptions, context: CliContext): Promise<void> {
  const lines = Number(options.lines)
  if (!Number.isInteger(lines) || lines < 0 || lines > 1_000_000) {
    throw new DoorwardError('usage', 'not a number of entries', { expected: '0 to 1000000', got: options.lines })
  }
  const { tailLogs } = await import('../apps/tail-log.ts')
  const { places } = await machineLogs(context, options)
  for await (const entry of tailLogs(places, { lines, follow: options.follow ? context.signal : null })) {
    if (context.signal.aborted) return
    context.out(context.json ? JSON.stringify(entryDocument(entry)) : entryLine(entry, context.color))
  }
}
