/** `doorward audit fsck`: every byte of the logs, and what is damaged: where, and which entries. */

import type { Command } from 'commander'
import type { Damage, FsckReport } from '../apps/fsck-log.ts'
import { keyText, logOption, machineLogs } from './audit-places.ts'
import type { CliContext } from './context.ts'
import { CheckFailed } from './failure.ts'
import { painter, printable } from './output.ts'

interface FsckOptions {
  readonly log?: string
  readonly key?: string
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
    .addHelpText('after', '\nExamples:\n  doorward audit fsck\n  doorward audit fsck --log gateway --json')
    .action((options: FsckOptions) => fsck(options, context))
}

async function fsck({ log, key }: FsckOptions, context: CliContext): Promise<void> {
  const { fsckPlace } = await import('../apps/fsck-log.ts')
  const { places, copyDir } = await machineLogs(context, log)
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
  if (context.json) process.exitCode = 1
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
