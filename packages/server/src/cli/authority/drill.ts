/** `doorward authority drill`: the rehearsal of a compromise, on a trust domain of its own. */

import { open, readFile } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import type { Command } from 'commander'
import { DoorwardError } from '@doorward/core'
import type { DrillOutcome } from '../../apps/drill/drill.ts'
import type { DrillStep } from '../../apps/drill/report.ts'
import { readSection } from '../../config/section-file.ts'
import { CheckFailed } from '../failure.ts'
import type { CliContext } from '../context.ts'
import { painter, printable } from '../output.ts'

interface DrillOptions {
  readonly workloads: string
  readonly authorities: string
  readonly gateways: string
  readonly database?: string
  readonly emergency: boolean
  readonly rotations: string
  readonly calls: string
  readonly report?: string
}

const most = { workloads: 2000, gateways: 8, rotations: 20, calls: 1_000_000 }

export function registerDrill(authority: Command, context: CliContext): void {
  authority
    .command('drill')
    .description('rehearse a compromise with the code of the real one, on a throw-away trust domain')
    .option('--workloads <n>', 'workloads with keys and live connections of their own', '100')
    .option('--authorities <n>', 'authorities; more than one needs --database', '1')
    .option('--gateways <n>', 'gateways', '3')
    .option(
      '--database <file>',
      'YAML of the section authority.database, for an empty database that the drill may fill',
    )
    .option('--emergency', 'refuse the old keys first', false)
    .option('--rotations <n>', 'planned rotations under calls afterwards', '5')
    .option('--calls <n>', 'calls across all rotations', '10000')
    .option('--report <file>', 'write the signed report to this new file')
    .addHelpText(
      'after',
      '\nExamples:\n  doorward authority drill\n  doorward authority drill --workloads 1000 --authorities 2 --database db.yaml --report drill.txt',
    )
    .action((options: DrillOptions) => run(context, options))
}

async function run(context: CliContext, options: DrillOptions): Promise<void> {
  const sizes = {
    workloads: whole('--workloads', options.workloads, 1, most.workloads),
    authorities: whole('--authorities', options.authorities, 1, 4),
    gateways: whole('--gateways', options.gateways, 1, most.gateways),
    rotations: whole('--rotations', options.rotations, 0, most.rotations),
    calls: whole('--calls', options.calls, 1, most.calls),
  }
  const database =
    options.database === undefined ? null : readSection(await readFile(options.database, 'utf8'), options.database)
  // First, because a report that cannot be kept would be lost with everything done.
  const file = options.report === undefined ? null : await newFile(options.report)
  try {
    const lines = new DrillLines(context)
    const { drill } = await import('../../apps/drill/drill.ts')
    const outcome = await drill({
      ...sizes,
      database,
      emergency: options.emergency,
      program: context.program,
      environment: { PATH: context.environment.path, NO_COLOR: '1' },
      signal: context.signal,
      onStep: (step) => lines.step(step),
      onProgress: (text) => lines.progress(text),
    })
    lines.clear()
    await file?.writeFile(outcome.note)
    show(context, outcome, options.report)
  } finally {
    await file?.close()
  }
}

function whole(name: string, text: string, least: number, largest: number): number {
  const value = Number(text)
  if (Number.isInteger(value) && value >= least && value <= largest) return value
  throw new DoorwardError('usage', `${name} is not a number that can be rehearsed`, {
    expected: `${least} to ${largest}`,
    got: text,
  })
}

async function newFile(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'wx', 0o600)
  } catch (error) {
    throw new DoorwardError('file_not_written', 'the report cannot be written', {
      where: path,
      got: error instanceof Error ? error.message : String(error),
      next: 'name a file that is not there yet; nothing has been started',
    })
  }
}

/** One line for each step, and on a terminal what goes on in between. */
class DrillLines {
  readonly #context: CliContext

  constructor(context: CliContext) {
    this.#context = context
  }

  step(step: DrillStep): void {
    this.clear()
    if (this.#context.json) return this.#context.out(JSON.stringify({ event: 'step', ...step }))
    const paint = painter(this.#context.color)
    const mark = step.passed ? paint('green', '✓') : paint('red', '✗')
    this.#context.out(`${mark} ${step.step}`)
    const bar = step.bar === '' ? '' : paint('dim', `  (${step.bar})`)
    this.#context.out(`    ${printable(step.measured)}${bar}`)
  }

  progress(text: string): void {
    if (this.#context.json || !this.#context.interactive) return
    this.#context.stdout.write(`\r\u001B[K${painter(this.#context.color)('dim', printable(text))}`)
  }

  clear(): void {
    if (!this.#context.json && this.#context.interactive) this.#context.stdout.write('\r\u001B[K')
  }
}

function show(context: CliContext, { report, note }: DrillOutcome, file: string | undefined): void {
  const failed = report.steps.filter(({ passed }) => !passed).length
  if (context.json)
    context.out(
      JSON.stringify({ event: 'drill', ...report, note: file === undefined ? note : null, file: file ?? null }),
    )
  else {
    const paint = painter(context.color)
    const { workloads, authorities, gateways, store } = report
    const what = `${workloads} workloads, ${authorities} on ${store}, ${gateways} gateways`
    context.out(
      report.passed
        ? paint('green', `✓ the drill has passed: ${what}`)
        : paint('red', `✗ ${failed} steps have failed: ${what}`),
    )
    if (file !== undefined) context.out(paint('dim', `  signed report in ${file}`))
  }
  if (failed > 0) throw new CheckFailed('drill_failed', `${failed} steps of the drill have failed`)
}
