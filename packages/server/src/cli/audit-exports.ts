/** `doorward audit exports`: how far each export has come, and what keeps it. */

import type { Command } from 'commander'
import type { ExportReport } from '../apps/audit-exports-report.ts'
import { placesHere } from '../apps/log-places.ts'
import { checkpointDir } from '../config/settings.ts'
import { logsOf } from './audit-places.ts'
import type { CliContext } from './context.ts'
import { CheckFailed } from './failure.ts'
import { painter, printable, table } from './output.ts'

export function registerExports(audit: Command, context: CliContext): void {
  audit
    .command('exports')
    .description('how far each export of the logs on this machine has come; exit 1 when one fails')
    .addHelpText('after', '\nExamples:\n  doorward audit exports\n  doorward audit exports --json')
    .action(() => showExports(context))
}

async function showExports(context: CliContext): Promise<void> {
  const { reportExports } = await import('../apps/audit-exports-report.ts')
  const deployment = await context.deployment()
  const { configuration } = deployment
  const copyDir = checkpointDir(deployment, await context.deploymentFolder({ make: false }))
  const places = await placesHere(logsOf(deployment), copyDir)
  const reports = await reportExports(places, configuration.audit.exports)
  if (context.json) context.out(JSON.stringify({ exports: reports.map(shownReport) }))
  else if (reports.length === 0) context.out('no exports are configured')
  else context.out(exportTable(reports, context.color))
  const failing = reports.filter(({ state }) => state === 'failing')
  if (failing.length === 0) return
  if (context.json) context.fail()
  else
    throw new CheckFailed('export_failing', 'an export does not deliver', {
      where: failing.map(({ name, log }) => `${name} of ${log}`).join(', '),
      next: 'what keeps it is in the column ERROR; it goes on by itself as soon as the receiver takes entries again',
    })
}

function shownReport({ waitingEntries, waitingBytes, error, since, ...rest }: ExportReport): object {
  return {
    ...rest,
    waiting: { entries: waitingEntries, bytes: waitingBytes },
    error: error === null ? null : { ...error, at: shownTime(error.at) },
    since: shownTime(since),
  }
}

function shownTime(milliseconds: number | null): string | null {
  return milliseconds === null ? null : new Date(milliseconds).toISOString()
}

function exportTable(reports: readonly ExportReport[], color: boolean): string {
  const paint = painter(color)
  const rows = reports.map((one) => {
    const state = one.lagging ? `${one.state}, lagging` : one.state
    const painted = one.state === 'failing' ? paint('red', state) : one.lagging ? paint('yellow', state) : state
    return [
      one.log,
      `${one.name} (${one.kind})`,
      painted,
      shownTime(one.since) ?? '-',
      one.delivered === null ? '-' : `#${one.delivered}`,
      `${one.waitingEntries} (${one.waitingBytes} bytes)`,
      one.error === null
        ? '-'
        : printable(`${one.error.code}: ${one.error.message} (${shownTime(one.error.at) ?? 'now'})`),
    ]
  })
  return table(['LOG', 'EXPORT', 'STATE', 'SINCE', 'DELIVERED', 'WAITING', 'ERROR'], rows, color)
}
