/** `doorward audit`: reads the record as it grows, and proves that it is what was signed. */

import type { Command } from 'commander'
import { DoorwardError } from '@doorward/core'
import type { JsonObject, JsonValue } from '@doorward/core'
import { logPlaces, placesHere } from '../apps/log-places.ts'
import type { LogPlace } from '../apps/log-places.ts'
import { checkpointDir, stateFolders } from '../config/settings.ts'
import type { CliContext } from './context.ts'
import { CheckFailed } from './failure.ts'
import { painter, printable } from './output.ts'

interface TailOptions {
  readonly log: string
  readonly lines: string
  readonly follow: boolean
}

interface VerifyCommandOptions {
  readonly log?: string
  readonly key?: string
}

export function register(program: Command, context: CliContext): void {
  const audit = program
    .command('audit')
    .description('read and verify the record')
    .addHelpText('after', '\nExamples:\n  doorward audit tail --follow\n  doorward audit verify')
  audit
    .command('tail')
    .description('show the newest entries of a log, and with --follow what comes')
    .option('--log <name>', 'gateway or authority', 'gateway')
    .option('-n, --lines <count>', 'how many entries to begin with', '20')
    .option('-f, --follow', 'keep showing new entries', false)
    .addHelpText('after', '\nExamples:\n  doorward audit tail\n  doorward audit tail --log authority --follow --json')
    .action((options: TailOptions) => tail(options, context))
  audit
    .command('verify')
    .description('derive the logs anew and compare with signatures, tiles and second copies; needs no running part')
    .option('--log <name>', 'gateway or authority; by default those that are on this machine')
    .option('--key <vkey>', 'verifier key of the log, instead of the one that is kept beside the keys')
    .addHelpText('after', '\nExamples:\n  doorward audit verify\n  doorward audit verify --log gateway --json')
    .action((options: VerifyCommandOptions) => verify(options, context))
}

async function placesOf(context: CliContext, name: string | undefined): Promise<readonly LogPlace[]> {
  const { trustDomain, stateDir, configuration, gateway } = await context.deployment()
  const names = { authority: configuration.authority.name, gateway: gateway.name }
  const places = logPlaces(trustDomain, stateFolders(stateDir), names)
  const chosen = name === undefined ? places : places.filter((place) => place.name === name)
  if (chosen.length > 0) return chosen
  throw new DoorwardError('log_unknown', 'there is no such log', {
    expected: places.map((place) => place.name).join(' or '),
    got: name ?? '',
  })
}

async function tail(options: TailOptions, context: CliContext): Promise<void> {
  const lines = Number(options.lines)
  if (!Number.isInteger(lines) || lines < 0 || lines > 1_000_000) {
    throw new DoorwardError('usage', 'not a number of entries', { expected: '0 to 1000000', got: options.lines })
  }
  const { tailLog } = await import('../apps/tail-log.ts')
  const [place] = await placesOf(context, options.log)
  if (place === undefined) return
  await context.deploymentFolder({ make: false })
  for await (const { origin, index, entry } of tailLog(place, {
    lines,
    follow: options.follow ? context.signal : null,
  })) {
    if (context.json)
      context.out(JSON.stringify({ origin, index, kind: entry.kind, time: entry.time, body: entry.body }))
    else
      context.out(
        entryLine({ origin, index, kind: entry.kind, time: entry.time, body: entry.body as JsonObject }, context.color),
      )
  }
}

interface Shown {
  readonly origin: string
  readonly index: number
  readonly kind: string
  readonly time: number
  readonly body: JsonObject
}

function entryLine({ origin, index, kind, time, body }: Shown, color: boolean): string {
  const paint = painter(color)
  const name = paint('dim', `${origin}#${index}`)
  const when = new Date(time).toISOString().slice(11, 23)
  const allowed = body['decision'] === 'allow'
  const word = kind === 'decision' ? paint(allowed ? 'green' : 'red', allowed ? 'allow' : 'deny') : kind
  return printableKeepingColour([when, word, ...detailsOf(kind, body), name].join('  '), color)
}

/** Details come from callers in part: control characters are shown, our own colour codes stay. */
function printableKeepingColour(text: string, color: boolean): string {
  return color ? text : printable(text)
}

function detailsOf(kind: string, body: JsonObject): readonly string[] {
  const field = (name: string) => shown(body[name])
  switch (kind) {
    case 'decision': {
      const resource = body['resource']
      const target = isObject(resource)
        ? [resource['server'], resource['name']]
            .filter((part) => part !== '' && part !== undefined)
            .map(shown)
            .join('/')
        : ''
      return [
        field('caller') || field('remote'),
        [field('action'), target].filter(Boolean).join(' '),
        field('code'),
        field('would_allow') && `needs ${field('would_allow')}`,
      ].filter(Boolean)
    }
    case 'outcome':
      return [
        `of #${field('of')}`,
        field('status'),
        field('http'),
        `${field('bytes')} bytes`,
        `${field('milliseconds')} ms`,
      ]
    case 'refusals':
      return [field('source'), field('reason'), `× ${field('count')}`]
    default:
      return Object.entries(body)
        .map(([name, value]) => `${name}=${shown(value)}`)
        .slice(0, 8)
  }
}

function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function shown(value: JsonValue | undefined): string {
  if (value === undefined) return ''
  return printable(typeof value === 'string' ? value : JSON.stringify(value)).slice(0, 160)
}

async function verify(options: VerifyCommandOptions, context: CliContext): Promise<void> {
  const { verifyPlace } = await import('../apps/verify-log.ts')
  const named = await placesOf(context, options.log)
  const copyDir = checkpointDir(await context.deployment(), await context.deploymentFolder({ make: false }))
  const places = options.log === undefined ? await placesHere(named, copyDir) : named
  const paint = painter(context.color)
  const reports = []
  for (const place of places) {
    const report = await verifyPlace(place, copyDir, {
      signal: context.signal,
      ...(options.key === undefined ? {} : { vkey: options.key }),
      ...(context.interactive && !context.json
        ? {
            onProgress: ({ entries, expected }) =>
              context.stdout.write(`\r${place.origin}: ${entries} of ${expected} `),
          }
        : {}),
    })
    if (context.interactive && !context.json) context.stdout.write('\r\u001b[K')
    reports.push(report)
    if (context.json) continue
    const state = report.problems.length === 0 ? paint('green', '✓') : paint('red', '✗')
    context.out(
      `${state} ${report.origin}: ${report.entries} entries, ${report.checkpointSize} signed over, root ${report.root}`,
    )
    for (const problem of report.problems)
      context.out(paint('red', `    ${problem.code} at ${problem.where}: ${problem.message}`))
  }
  if (context.json) context.out(JSON.stringify({ logs: reports }))
  const damaged = reports.filter((report) => report.problems.length > 0)
  if (damaged.length > 0 && !context.json)
    throw new CheckFailed('record_damaged', 'the record is not what was signed', {
      where: damaged.map(({ origin }) => origin).join(', '),
    })
  if (damaged.length > 0) process.exitCode = 1
}
