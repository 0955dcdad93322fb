/** `doorward up`: everything on this machine, and with `--tour` the first calls through it. */

import { setMaxListeners } from 'node:events'
import type { Command } from 'commander'
import { DoorwardError } from '@doorward/core'
import { openOrJoin, tour } from '../apps/tour.ts'
import type { TourRow } from '../apps/tour.ts'
import { Supervisor } from '../apps/up.ts'
import type { Started, UpEvent, UpOptions } from '../apps/up.ts'
import { verifyPlace } from '../apps/verify-log.ts'
import type { Environment } from '../config/environment.ts'
import { checkpointDir } from '../config/settings.ts'
import type { Deployment } from '../config/settings.ts'
import { version } from '../config/version.ts'
import { logsOf } from './audit-places.ts'
import type { CliContext } from './context.ts'
import { painter, printable } from './output.ts'
import type { Paint } from './output.ts'

export function register(program: Command, context: CliContext): void {
  program
    .command('up')
    .description('run an authority and a gateway on this machine, as two processes')
    .option('--tour', 'make the first calls and show what became of them', false)
    .addHelpText(
      'after',
      '\nExamples:\n  doorward up\n  doorward up --tour\n  doorward up --config /etc/doorward/doorward.yaml --json',
    )
    .action((options: { readonly tour: boolean }) => up(options, context))
}

async function up(options: { readonly tour: boolean }, context: CliContext): Promise<void> {
  setMaxListeners(50, context.signal)
  const screen = new Screen(context)
  const deployment = await context.deployment()
  const folder = await context.deploymentFolder()
  screen.starting(deployment, folder.created)
  const supervisor = new Supervisor({
    deployment,
    stateDir: folder.dir,
    program: context.program,
    environments: environmentsOf(deployment, context.environment),
    report: (event) => screen.event(event),
  })
  context.onHangup(() => supervisor.reloadPolicy())
  const interrupted = new Promise<void>((done) =>
    context.signal.addEventListener('abort', () => done(), { once: true }),
  )
  try {
    const started = await Promise.race([supervisor.start(), interrupted.then(() => null)])
    if (started !== null) await serve({ options, context, deployment, supervisor, screen, started, interrupted })
  } finally {
    screen.stopping()
    await supervisor.stop()
    screen.stopped()
  }
}

function environmentsOf({ configuration }: Deployment, environment: Environment): UpOptions['environments'] {
  const forServers = Object.values(configuration.servers).flatMap((server) =>
    'env_from' in server ? server.env_from : [],
  )
  const ofSecrets = Object.values(configuration.secrets).flatMap(({ env }) => env ?? [])
  return {
    authority: environment.without([...forServers, ...ofSecrets].filter((name) => !ours.has(name))),
    gateway: environment.without([]),
  }
}

/** What the processes themselves are started and found by, whether or not a server wants it too. */
const ours: ReadonlySet<string> = new Set(['HOME', 'PATH', 'XDG_CONFIG_HOME', 'LANG', 'TZ'])

interface Serving {
  readonly options: { readonly tour: boolean }
  readonly context: CliContext
  readonly deployment: Deployment
  readonly supervisor: Supervisor
  readonly screen: Screen
  readonly started: Started
  readonly interrupted: Promise<void>
}

async function serve({
  options,
  context,
  deployment,
  supervisor,
  screen,
  started,
  interrupted,
}: Serving): Promise<void> {
  const invite = (id: string, roles: readonly string[]) => supervisor.joinString(id, roles)
  const place = { deployment, environment: context.environment, invite, signal: context.signal }
  const operator = await openOrJoin(place, `operator/${context.environment.user}`, ['admin'])
  operator.close()
  screen.ready(deployment, started, operator.id.uri)
  if (options.tour) {
    const places = logsOf(deployment)
    const [gatewayLog] = places
    if (gatewayLog === undefined) throw new DoorwardError('internal', 'no log')
    screen.tourHead()
    await tour({ ...place, recordFolder: gatewayLog.folder, onRow: (row) => screen.tourRow(row) })
    const folder = await context.deploymentFolder()
    for (const log of places) screen.verified(await verifyPlace(log, checkpointDir(deployment, folder)))
  }
  screen.serving(deployment)
  await interrupted
}

/** What a person or a program sees of a running deployment. */
class Screen {
  readonly #context: CliContext
  readonly #paint: (paint: Paint, text: string) => string

  constructor(context: CliContext) {
    this.#context = context
    this.#paint = painter(context.color)
  }

  #say(event: object, ...lines: readonly string[]): void {
    if (this.#context.json) this.#context.out(JSON.stringify(event))
    else for (const line of lines) this.#context.out(line)
  }

  starting(deployment: Deployment, created: boolean): void {
    const { trustDomain, stateDir, file } = deployment
    this.#say(
      { event: 'starting', version, trust_domain: trustDomain, config: file, state: stateDir, created },
      `${this.#paint('bold', `doorward ${version}`)}  trust domain ${this.#paint('cyan', trustDomain)}, state ${created ? 'made' : 'found'} in ${stateDir}`,
    )
  }

  event(event: UpEvent): void {
    switch (event.type) {
      case 'started':
        return this.#say(
          { event: 'started', part: event.name, pid: event.pid },
          `${this.#paint('green', '✓')} ${event.name.padEnd(9)} process ${event.pid}`,
        )
      case 'notice':
        return this.#say(
          { event: 'notice', part: event.name, text: event.text },
          this.#paint('yellow', `! ${event.name}: ${printable(event.text)}`),
        )
      case 'died':
        return this.#say(
          { event: 'died', part: event.name, how: event.how, restart_in_seconds: event.restartInSeconds },
          this.#paint('red', `✗ ${event.name} ended (${event.how}); starting it again in ${event.restartInSeconds} s`),
        )
      case 'unstartable':
        return this.#say(
          { event: 'unstartable', part: event.name, error: String(event.error) },
          this.#paint('red', `✗ ${event.name} does not start: ${printable(String(event.error))}`),
        )
    }
  }

  ready(deployment: Deployment, started: Started, operator: string): void {
    const { gateway, authority, configuration } = deployment
    const root = started.authority['recoveryRoot'] as {
      readonly path: string
      readonly present: boolean
      readonly created: boolean
    }
    this.#say(
      {
        event: 'ready',
        gateway: { public_url: gateway.publicUrl, ...started.gateway },
        authority: { public_url: authority.publicUrl, ...started.authority },
        operator,
      },
      `  authority ${authority.publicUrl}`,
      `  gateway   ${gateway.publicUrl}  servers: ${Object.keys(configuration.servers).join(', ') || 'none'}`,
      `  you are   ${operator}`,
      ...(root.present
        ? [
            this.#paint('yellow', `! recovery root: ${root.path}`),
            this.#paint('yellow', '  whoever has it can replace every key: move it off this machine and keep it safe'),
          ]
        : []),
    )
  }

  tourHead(): void {
    if (this.#context.json) return
    this.#context.out('')
    this.#context.out(this.#paint('bold', tourLine('CALLER', 'CALL', 'DECISION', 'REASON', 'RECORD')))
  }

  tourRow(row: TourRow): void {
    const decision = row.allowed ? 'allow' : 'deny'
    const reason = row.allowed ? row.reason : `${row.code}: ${row.reason}`
    // The trust domain stands above; here the log and the index say which entry it is.
    const entry = row.entry.slice(row.entry.indexOf('/') + 1)
    const line = tourLine(row.caller, row.call, decision, reason, entry)
    this.#say(
      { event: 'call', ...row },
      line.replace(` ${decision} `, ` ${this.#paint(row.allowed ? 'green' : 'red', decision)} `),
    )
  }

  verified(report: Awaited<ReturnType<typeof verifyPlace>>): void {
    const { origin, entries, problems, root } = report
    const sound = problems.length === 0
    this.#say(
      { event: 'verified', origin, entries, root, problems },
      sound
        ? `${this.#paint('green', '✓')} record ${origin} verified: ${entries} entries, root ${root.slice(0, 16)}…, signature and second copy agree`
        : this.#paint(
            'red',
            `✗ record ${origin}: ${problems.map((problem) => `${problem.code} ${problem.where}`).join('; ')}`,
          ),
    )
    if (!sound)
      throw new DoorwardError('record_damaged', 'the record does not verify', {
        where: origin,
        next: 'doorward audit verify',
      })
  }

  serving(deployment: Deployment): void {
    const names = Object.keys(deployment.configuration.servers)
    const server = names[0]
    this.#say(
      { event: 'serving' },
      '',
      `Serving until Ctrl-C. ${server === undefined ? '' : 'In a second terminal:'}`,
      ...(server === undefined
        ? []
        : [
            `  npx doorward tools ${server}`,
            ...(server === 'files' ? [`  npx doorward call files read_text_file path=welcome.md`] : []),
            '  npx doorward audit tail',
            `  npx doorward connect ${server} --install claude-code   ${this.#paint('dim', '# or claude-desktop, cursor, vscode')}`,
          ]),
    )
  }

  stopping(): void {
    this.#say({ event: 'stopping' }, '', 'stopping …')
  }

  stopped(): void {
    this.#say({ event: 'stopped' }, `${this.#paint('green', '✓')} stopped, the record is closed`)
  }
}

const tourWidths = [31, 21, 8, 48] as const

function tourLine(...cells: readonly string[]): string {
  return cells.map((cell, i) => printable(cell).padEnd(tourWidths[i] ?? 0)).join(' ')
}
