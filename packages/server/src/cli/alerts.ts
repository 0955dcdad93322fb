/** `doorward alerts`: what is raised now on this machine and at the authority, and whether those who should hear of it do. */

import type { Command } from 'commander'
import { DoorwardError, isAtLeast, isDoorwardError } from '@doorward/core'
import { systemClock } from '@doorward/sdk'
import type { PartReport, RaisedAlert } from '../apps/alerts-report.ts'
import type { ExportReport } from '../apps/audit-exports-report.ts'
import { authorityOrigin, placesHere } from '../apps/log-places.ts'
import type { LogPlace } from '../apps/log-places.ts'
import { alertPlaces } from '../config/audit-exports.ts'
import { checkpointDir } from '../config/settings.ts'
import { logsOf } from './audit-places.ts'
import type { CliContext } from './context.ts'
import { CheckFailed } from './failure.ts'
import { asOption } from './identity-option.ts'
import { painter, printable, table } from './output.ts'
import type { Paint } from './output.ts'

export function register(program: Command, context: CliContext): void {
  const alerts = program
    .command('alerts')
    .description('what is raised now, and who hears of it; exit 1 when something severe is open')
    .option(...asOption)
    .addHelpText('after', '\nExamples:\n  doorward alerts\n  doorward alerts --json\n  doorward alerts test ops')
    .action(({ as }: { readonly as?: string }) => showAlerts(context, as))
  alerts
    .command('test')
    .argument('<name>', 'of a webhook in alerts.webhooks')
    .description('send a finding that is marked as a test, and say what the receiver answered')
    .addHelpText('after', '\nExample:\n  doorward alerts test ops')
    .action((name: string) => testWebhook(context, name))
}

interface Report {
  readonly parts: readonly PartReport[]
  readonly webhooks: readonly ExportReport[]
  readonly raised: readonly RaisedAlert[]
  /** Why the authority's alarms are not among them; null when they are. */
  readonly unasked: string | null
}

async function showAlerts(context: CliContext, as: string | undefined): Promise<void> {
  const report = await gather(context, as)
  const severe = report.raised.filter(({ severity }) => isAtLeast(severity, 'high'))
  if (context.json) context.out(JSON.stringify(shown(report)))
  else for (const part of screen(report, context.color)) context.out(part)
  if (severe.length === 0) return
  if (context.json) context.fail()
  else
    throw new CheckFailed('alert_open', 'something severe is open', {
      where: severe.map(({ detector, subject }) => `${detector} ${subject}`).join(', '),
      next: 'what each means and what to do: docs/detectors.md',
    })
}

async function gather(context: CliContext, as: string | undefined): Promise<Report> {
  const { openAlarms, reportPart, reportWebhooks, together } = await import('../apps/alerts-report.ts')
  const { configuration } = await context.deployment()
  const places = await ownPlaces(context)
  const parts = await Promise.all(places.map(reportPart))
  const webhooks = await reportWebhooks(places, configuration.alerts.webhooks)
  const own = parts.flatMap(({ raised }) => raised)
  try {
    const { operating } = await import('./authority/standing.ts')
    const asking = operating(
      context,
      as,
      ({ admin }) => admin.status(),
      () => undefined,
    )
    const status = await Promise.race([asking, late(context.signal)])
    return { parts, webhooks, raised: together(own, openAlarms(status, systemClock())), unasked: null }
  } catch (error) {
    if (!isDoorwardError(error)) throw error
    return { parts, webhooks, raised: together(own, []), unasked: `${error.code}: ${error.message}` }
  }
}

const ASK_MILLISECONDS = 8000

function late(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const fail = () => reject(new DoorwardError('authority_silent', 'the authority did not answer in time'))
    AbortSignal.any([signal, AbortSignal.timeout(ASK_MILLISECONDS)]).addEventListener('abort', fail, { once: true })
  })
}

async function ownPlaces(context: CliContext): Promise<readonly LogPlace[]> {
  const deployment = await context.deployment()
  const copyDir = checkpointDir(deployment, await context.deploymentFolder({ make: false }))
  return placesHere(logsOf(deployment), copyDir)
}

function shown({ parts, webhooks, raised, unasked }: Report): object {
  return {
    raised: raised.map(({ since, ...one }) => ({ ...one, since: shownTime(since) })),
    parts: parts.map(({ origin, state }) => ({ origin, state })),
    webhooks: webhooks.map(({ waitingEntries, waitingBytes, error, since, ...one }) => ({
      ...one,
      waiting: { entries: waitingEntries, bytes: waitingBytes },
      error: error === null ? null : { ...error, at: shownTime(error.at) },
      since: shownTime(since),
    })),
    authority: { asked: unasked === null, error: unasked },
  }
}

const colours: Readonly<Record<RaisedAlert['severity'], Paint>> = {
  low: 'dim',
  medium: 'yellow',
  high: 'red',
  critical: 'red',
}

function screen({ parts, webhooks, raised, unasked }: Report, color: boolean): readonly string[] {
  const paint = painter(color)
  const rows = raised.map(({ severity, since, detector, subject, text, origin, docs }) => [
    paint(colours[severity], severity),
    shownTime(since) ?? '-',
    detector,
    printable(subject),
    printable(origin),
    printable(text),
    docs,
  ])
  const found =
    rows.length === 0
      ? 'nothing is raised'
      : table(['SEVERITY', 'SINCE', 'DETECTOR', 'ABOUT', 'WHO TELLS', 'SEEN', 'WHAT TO DO'], rows, color)
  const silent = parts.filter(({ state }) => state !== 'runs')
  return [
    found,
    ...silent.map(({ origin, state }) => paint('yellow', `! ${origin}: ${stateTexts[state]}`)),
    ...(unasked === null
      ? []
      : [paint('yellow', `! the authority was not asked for its alarms: ${printable(unasked)}`)]),
    ...(webhooks.length === 0 ? [] : ['', webhookTable(webhooks, color)]),
  ]
}

const stateTexts: Readonly<Record<PartReport['state'], string>> = {
  runs: 'it runs',
  stopped: 'it does not run: what stands is what stood when it ended',
  none: 'it has not looked for anything yet',
  unreadable: 'what stands there cannot be read',
}

function webhookTable(webhooks: readonly ExportReport[], color: boolean): string {
  const paint = painter(color)
  const rows = webhooks.map(({ log, name, state, lagging, since, waitingEntries, error }) => [
    name,
    log,
    state === 'failing' ? paint('red', state) : lagging ? paint('yellow', `${state}, lagging`) : state,
    shownTime(since) ?? '-',
    `${waitingEntries}`,
    error === null ? '-' : printable(`${error.code}: ${error.message}`),
  ])
  return table(['WEBHOOK', 'LOG', 'STATE', 'SINCE', 'TO LOOK AT', 'ERROR'], rows, color)
}

function shownTime(milliseconds: number | null): string | null {
  return milliseconds === null ? null : new Date(milliseconds).toISOString()
}

async function testWebhook(context: CliContext, name: string): Promise<void> {
  const deployment = await context.deployment()
  const places = alertPlaces(deployment)
  const place = places.find((one) => one.name === name)
  if (place === undefined)
    throw new DoorwardError('webhook_unknown', 'there is no such webhook', {
      where: deployment.file,
      expected: places.map((one) => one.name).join(' or ') || 'one in alerts.webhooks',
      got: name,
    })
  const { testAlert } = await import('../apps/alert-webhooks.ts')
  const origin = authorityOrigin(deployment.trustDomain, deployment.configuration.authority.name)
  try {
    const answer = await testAlert(place, { origin, clock: systemClock, signal: context.signal })
    const { status, body, milliseconds } = answer
    if (context.json) context.out(JSON.stringify({ webhook: name, ...answer }))
    else context.out(`${name} answered ${status} after ${milliseconds} ms${body === '' ? '' : `: ${printable(body)}`}`)
  } catch (error) {
    if (!isDoorwardError(error)) throw error
    const { code, message, where, expected, got, next } = error
    const detail = Object.fromEntries(
      Object.entries({ where, expected, got, next }).filter(([, text]) => text !== undefined),
    )
    throw new CheckFailed(code, message, detail)
  }
}
