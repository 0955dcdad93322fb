/** `doorward audit fsck`: every byte of the logs, and what is damaged: where, and which entries. */

import { resolve, sep } from 'node:path'
import type { Command } from 'commander'
import { DoorwardError, isDoorwardError } from '@doorward/core'
import type { Damage, FsckReport } from '../apps/fsck-log.ts'
import { keyText, logOption, machineLogs } from './audit-places.ts'
import { confirmed } from './confirmation.ts'
import type { CliContext } from './context.ts'
import { CheckFailed } from './failure.ts'
import { painter, printable } from './output.ts'

const EXAMPLES = `
Examples:
  doorward audit fsck
  doorward audit fsck --log gateway --json
  doorward audit fsck --log gateway --accept 0000000000000000.journal --reason "disk of June, no copy"`

interface FsckOptions {
  readonly log?: string
  readonly key?: string
  readonly accept?: string
  readonly reason?: string
  readonly yes: boolean
}

export function registerFsck(audit: Command, context: CliContext): void {
  audit
    .command('fsck')
    .description('read every byte of the logs and say what is damaged: file, bytes, entries; exit 1 when something is')
    .option(...logOption)
    .option(
      '--key <vkey>',
      'verifier key of the log or a file with it, instead of the one that is kept beside the keys',
    )
    .option('--accept <file>', 'go on without what is damaged in this segment; its writer must not run')
    .option('--reason <text>', 'with --accept: why, for the record')
    .option('-y, --yes', 'with --accept: without asking', false)
    .addHelpText('after', EXAMPLES)
    .action((options: FsckOptions) =>
      options.accept === undefined ? fsck(options, context) : accept(options, context),
    )
}

const MAX_REASON = 200

/** The segment is put aside under another name, what is whole of it stays, and the log says so when its writer starts. */
async function accept({ accept: file = '', reason = '', yes, log }: FsckOptions, context: CliContext): Promise<void> {
  if (reason === '' || reason.length > MAX_REASON)
    throw new DoorwardError('usage', 'damage is accepted for a reason', {
      expected: `--reason, at most ${MAX_REASON} characters`,
    })
  const { acceptDamage } = await import('../apps/accept-damage.ts')
  const { places, copyDir } = await machineLogs(context, { log })
  const inIt = places.filter(({ folder }) => resolve(file).startsWith(`${resolve(folder)}${sep}`))
  const [place, ...others] = inIt.length > 0 ? inIt : places
  if (place === undefined || others.length > 0)
    throw new DoorwardError('usage', 'not clear which log is meant', { expected: 'the file as it was told, or --log' })
  const question = `Go on without what is damaged in ${printable(file)}?`
  if (!yes && !(await confirmed(context, question, 'say that it is meant with --yes')))
    throw new CheckFailed('not_confirmed', 'nothing was changed')
  const accepted = await acceptDamage(place, copyDir, { file, reason }).catch((error: unknown) => {
    throw refusalOf(error)
  })
  if (context.json) return context.out(JSON.stringify(accepted))
  const ranges = accepted.ranges.map((range) => `${range.first} to ${range.end - 1}`).join(', ')
  const paint = painter(context.color)
  context.out(`${paint('green', '✓')} ${accepted.origin} goes on without what its entries ${ranges} say`)
  context.out(`    the damaged file is kept: ${accepted.aside}`)
  context.out('    its writer says so with the first entry of its next start')
}

const refusals: readonly string[] = ['damage_none', 'damage_lost', 'damage_unfit', 'damage_pending', 'record_locked']

/** What was asked for is understood, and the answer is no. */
function refusalOf(error: unknown): unknown {
  if (!isDoorwardError(error) || !refusals.includes(error.code)) return error
  const { code, message, where, expected, got, next } = error
  const detail = Object.entries({ where, expected, got, next }).filter(([, text]) => text !== undefined)
  return new CheckFailed(code, message, { ...Object.fromEntries(detail), cause: error })
}

async function fsck({ log, key }: FsckOptions, context: CliContext): Promise<void> {
  const { fsckPlace } = await import('../apps/fsck-log.ts')
  const { places, copyDir } = await machineLogs(context, { log })
  const vkey = key === undefined ? {} : { vkey: await keyText(key) }
  const reports: FsckReport[] = []
  for (const place of places) {
    const onProgress = progressOf(context, place.origin)
    const report = await fsckPlace(place, copyDir, { ...vkey, onProgress, signal: context.signal })
    if (context.interactive && !context.json) context.stdout.write('\r\u001b[K')
    reports.push(report)
    if (!context.json) for (const line of linesOf(report, context.color)) context.out(line)
  }
  const damages = reports.flatMap((report) => report.damages)
  if (context.json) context.out(JSON.stringify({ whole: damages.length === 0, logs: reports }))
  if (damages.length === 0) return
  if (context.json) context.fail()
  else
    throw new CheckFailed('record_damaged', `${damages.length} damages were found`, {
      next: 'what the tree knows is accounted for; restore the files that are named from a copy, and look again',
    })
}

function progressOf(context: CliContext, origin: string): (at: { entries: number; expected: number }) => void {
  if (!context.interactive || context.json) return () => undefined
  return ({ entries, expected }) => context.stdout.write(`\rreading ${origin}: ${entries} of ${expected} `)
}

function linesOf(report: FsckReport, color: boolean): readonly string[] {
  const { origin, entries, unsigned, absent, segments, bytes, damages, notes } = report
  const paint = painter(color)
  const mark = damages.length === 0 ? paint('green', '✓ whole') : paint('red', `✗ ${damages.length} damages`)
  const waiting = unsigned === 0 ? '' : `, ${unsigned} not signed over yet`
  return [
    `${mark}  ${origin}: ${entries} entries (${absent} absent${waiting}) in ${segments} segments of ${bytes} bytes`,
    ...damages.flatMap((damage) => damageLines(damage, color)),
    ...notes.map((note) => paint('dim', `    ${printable(note)}`)),
  ]
}

const keptWords = {
  tree: 'accounted for by the tree, absent otherwise',
  leaves: 'their place is proven, time and digest are gone',
  lost: 'LOST: restore this file from a copy',
  derived: 'derived: nothing is lost',
} as const

function damageLines({ code, file, bytes, entries, kept, message }: Damage, color: boolean): readonly string[] {
  const paint = painter(color)
  const place = bytes === null ? '' : `, bytes ${bytes.from} to ${bytes.to - 1}`
  const who = entries === null ? [] : [`entries ${entries.first} to ${entries.end - 1}`]
  const about = [...who, ...(kept === null ? [] : [keptWords[kept]])]
  return [
    `  ${paint('red', code)}  ${printable(file)}${place}`,
    `    ${printable(message)}`,
    ...(about.length === 0 ? [] : [`    ${paint(kept === 'lost' ? 'red' : 'yellow', about.join(': '))}`]),
  ]
}
