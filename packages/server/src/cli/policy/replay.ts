/** `doorward policy replay`: who would have gained and who would have lost under another policy. */

import { resolve } from 'node:path'
import { DoorwardError } from '@doorward/core'
import { InvalidArgumentError, Option } from 'commander'
import type { Command } from 'commander'
import { replayPolicy } from '../../apps/policy-replay.ts'
import type { Change, ReplayReport, ReplayRow } from '../../apps/policy-replay.ts'
import { logsOf } from '../audit-places.ts'
import type { CliContext } from '../context.ts'
import { painter, printable } from '../output.ts'
import type { Paint } from '../output.ts'
import { moment } from './asking.ts'

interface ReplayCommandOptions {
  readonly candidate?: string
  readonly log: string
  readonly since?: number
  readonly until?: number
  readonly failOn?: 'gains' | 'loses' | 'any'
}

const EXAMPLES = `
Examples:
  doorward policy replay --candidate doorward.next.yaml
  doorward policy replay --candidate doorward.next.yaml --since 7d --fail-on loses --json`

export function registerReplay(policy: Command, context: CliContext): void {
  policy
    .command('replay')
    .description('decide recorded calls anew under another policy: who gains, who loses; arguments are not on record')
    .option('--candidate <file>', 'a configuration with that policy; by default this one, as its files are now')
    .option('--log <name>', 'gateway or authority', 'gateway')
    .option('--since <time>', 'only calls from then on: a time, or how long ago, such as 24h or 7d', ago)
    .option('--until <time>', 'only calls before then', ago)
    .addOption(
      new Option('--fail-on <change>', 'exit 1 when somebody does').choices(['gains', 'loses', 'any'] as const),
    )
    .addHelpText('after', EXAMPLES)
    .action((options: ReplayCommandOptions) => replay(options, context))
}

const units: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000 }

/** In milliseconds since the epoch. */
function ago(text: string): number {
  const [, count, unit = ''] = /^(\d{1,6})([mhd])$/.exec(text) ?? []
  if (count !== undefined) return Date.now() - Number(count) * (units[unit] ?? 0)
  try {
    return moment(text) * 1000
  } catch {
    throw new InvalidArgumentError('expected a time such as 2026-01-01T12:00:00Z, or how long ago, such as 24h or 7d')
  }
}

async function replay(options: ReplayCommandOptions, context: CliContext): Promise<void> {
  const { candidate, since = 0, until = Number.POSITIVE_INFINITY, failOn } = options
  const deployment = await context.deployment()
  const places = logsOf(deployment)
  const place = places.find(({ name }) => name === options.log)
  if (place === undefined)
    throw new DoorwardError('log_unknown', 'there is no such log', {
      expected: places.map(({ name }) => name).join(' or '),
      got: options.log,
    })
  await context.deploymentFolder({ make: false })
  const report = await replayPolicy(deployment, {
    candidate: candidate === undefined ? null : resolve(candidate),
    folder: place.folder,
    since,
    until,
    signal: context.signal,
    onProgress: (entries) => {
      if (context.interactive && !context.json) context.stdout.write(`\r${entries} entries`)
    },
  })
  if (context.interactive && !context.json) context.stdout.write('\r\u001b[K')
  if (context.json) context.out(JSON.stringify(report))
  else for (const line of linesOf(report, context.color)) context.out(line)
  if (fails(report, failOn)) context.fail()
}

function fails({ rows }: ReplayReport, failOn: ReplayCommandOptions['failOn']): boolean {
  if (failOn === undefined) return false
  return rows.some(({ change }) => (failOn === 'any' ? change !== 'depends' : change === failOn))
}

const paints: Readonly<Record<Change, Paint>> = { gains: 'green', loses: 'red', asks: 'cyan', depends: 'yellow' }
const MAX_SHOWN = 200

function linesOf({ calls, same, skipped, rows, more }: ReplayReport, color: boolean): readonly string[] {
  const paint = painter(color)
  const shown = rows.slice(0, MAX_SHOWN)
  const width = Math.max(0, ...shown.map(({ caller }) => printable(caller).length))
  const hidden = rows.length - shown.length + more
  return [
    ...shown.flatMap((row) => rowLines(row, width, paint)),
    ...(hidden > 0 ? [paint('dim', `… and ${hidden} more: --json tells all that were kept`)] : []),
    `${calls} decisions: ${same} the same, ${sum(rows, 'gains')} gained, ${sum(rows, 'loses')} lost, ${asksText(sum(rows, 'asks'))}${sum(rows, 'depends')} depend on arguments; ${skipped} other entries`,
  ]
}

function asksText(calls: number): string {
  return calls === 0 ? '' : `${calls} would need an approval, `
}

function rowLines(
  { change, caller, action, resource, calls, why }: ReplayRow,
  width: number,
  paint: ReturnType<typeof painter>,
): readonly string[] {
  const times = calls === 1 ? 'once' : `${calls} times`
  const what = `${printable(action)} ${printable(resource)}`
  return [
    `${paint(paints[change], change.padEnd(7))}  ${printable(caller).padEnd(width)}  ${what}  ${times}`,
    `         ${paint('dim', printable(why))}`,
  ]
}

function sum(rows: readonly ReplayRow[], change: Change): number {
  return rows.reduce((all, row) => all + (row.change === change ? row.calls : 0), 0)
}
