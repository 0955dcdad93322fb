/** `doorward audit verify`: whole logs, one proof, or that a log still contains an older checkpoint. */

import type { Command } from 'commander'
import { DoorwardError, MAX_PROOF_CHARS, claimedOrigin, isDoorwardError, toBase64 } from '@doorward/core'
import type { ProvenEntry } from '@doorward/core'
import { detailOf } from './audit-line.ts'
import {
  checkpointsOption,
  givenVerifier,
  keyText,
  logOfOrigin,
  logOption,
  machineLogs,
  readText,
  recordOption,
} from './audit-places.ts'
import type { LogOptions } from './audit-places.ts'
import type { CliContext } from './context.ts'
import { CheckFailed } from './failure.ts'
import { painter, printable } from './output.ts'

interface VerifyOptions extends LogOptions {
  readonly key?: string
  readonly proof?: string
  readonly consistency?: string
}

const EXAMPLES = `
Examples:
  doorward audit verify
  doorward audit verify --log gateway --json
  doorward audit verify --proof call.tlog-proof --key gateway.vkey
  doorward audit verify --consistency gateway.checkpoint`

export function registerVerify(audit: Command, context: CliContext): void {
  audit
    .command('verify')
    .description('derive the logs anew and compare with signatures, tiles and second copies; or check one proof')
    .option(...logOption)
    .option(...recordOption)
    .option(...checkpointsOption)
    .option(
      '--key <vkey>',
      'verifier key of the log or a file with it, instead of the one that is kept beside the keys',
    )
    .option('--proof <file>', 'check this proof with --key alone; needs neither configuration nor state')
    .option('--consistency <file>', 'prove that the log still contains this older checkpoint of it')
    .addHelpText('after', EXAMPLES)
    .action((options: VerifyOptions) => verify(options, context))
}

async function verify(options: VerifyOptions, context: CliContext): Promise<void> {
  const { proof, consistency } = options
  if (proof !== undefined && consistency !== undefined)
    throw new DoorwardError('usage', 'a proof and a checkpoint are checked one by one', {
      expected: '--proof or --consistency',
    })
  if (proof !== undefined) return verifyProof(proof, options, context)
  if (consistency !== undefined) return verifyConsistency(consistency, options, context)
  return verifyLogs(options, context)
}

/** What is wrong with the file or its signature is an answer, and the answer is no. */
const ANSWERS: readonly string[] = [
  'proof_malformed',
  'proof_invalid',
  'note_malformed',
  'note_unverified',
  'checkpoint_malformed',
  'checkpoint_foreign',
]

function answerOf(error: unknown, where: string): unknown {
  if (!isDoorwardError(error) || !ANSWERS.includes(error.code)) return error
  const { code, message, expected, got } = error
  return new CheckFailed(code, message, {
    where,
    ...(expected === undefined ? {} : { expected }),
    ...(got === undefined ? {} : { got }),
    cause: error,
  })
}

async function verifyProof(file: string, { key }: VerifyOptions, context: CliContext): Promise<void> {
  if (key === undefined) {
    throw new DoorwardError('usage', 'a proof is checked with the verifier key of its log', {
      expected: '--key with the key or a file that holds it',
      next: 'get the key from whoever runs the log, not from whoever gave you the proof',
    })
  }
  const { believedProof } = await import('../apps/prove-log.ts')
  const verifier = await givenVerifier(key)
  const text = await proofText(file)
  let proven: ProvenEntry
  try {
    proven = believedProof(text, verifier)
  } catch (error) {
    throw answerOf(error, file)
  }
  if (context.json) context.out(JSON.stringify(documentOf(proven)))
  else for (const line of linesOf(proven, context.color)) context.out(line)
}

async function proofText(file: string): Promise<string> {
  try {
    return await readText(file, MAX_PROOF_CHARS)
  } catch (error) {
    // Bytes that are no text are no proof; a file that is not there is a mistake of whoever asks.
    if (!isDoorwardError(error) || !isDoorwardError(error.cause)) throw error
    throw new CheckFailed('proof_malformed', 'the file is not a proof', { where: file, cause: error })
  }
}

function documentOf({ origin, index, time, digest, entry, checkpoint }: ProvenEntry): object {
  return {
    holds: true,
    entry: `${origin}#${index}`,
    time,
    digest: toBase64(digest),
    shows: entry === null ? 'receipt' : 'entry',
    ...(entry === null ? {} : { kind: entry.kind, body: entry.body }),
    checkpoint: { size: checkpoint.size, root: toBase64(checkpoint.root) },
  }
}

function linesOf({ origin, index, time, digest, entry, checkpoint }: ProvenEntry, color: boolean): readonly string[] {
  const paint = painter(color)
  return [
    `${paint('green', '✓')} ${origin}#${index} stands in the log that its key has signed over ${checkpoint.size} entries`,
    `    time    ${new Date(time).toISOString()}`,
    `    digest  ${toBase64(digest)}`,
    ...(entry === null
      ? ['    a receipt: what the entry says is not shown']
      : [
          `    ${entry.kind}  ${printable(detailOf(entry.kind, entry.body as Parameters<typeof detailOf>[1]))}`,
          paint('dim', `    ${printable(JSON.stringify(entry.body))}`),
        ]),
  ]
}

const CHECKPOINT_LIMIT_BYTES = 131_072

async function verifyConsistency(file: string, { key }: VerifyOptions, context: CliContext): Promise<void> {
  const note = await readText(file, CHECKPOINT_LIMIT_BYTES)
  const origin = claimedOrigin(note)
  if (origin === null) throw new CheckFailed('note_malformed', 'the file is not a checkpoint', { where: file })
  const { consistencyOf, keptVerifier } = await import('../apps/prove-log.ts')
  const { place, copyDir } = await logOfOrigin(context, origin)
  const verifier = key === undefined ? await keptVerifier(place, copyDir) : await givenVerifier(key)
  const report = await consistencyOf(place, { note, verifier }).catch((error: unknown) => {
    throw answerOf(error, file)
  })
  const { older, newer, holds } = report
  if (context.json) {
    context.out(JSON.stringify({ origin, holds, older: older.size, newer: newer.size }))
    if (!holds) context.fail()
    return
  }
  if (!holds) {
    throw new CheckFailed('record_forked', 'the log does not contain what this checkpoint was signed over', {
      where: origin,
      expected: `the first ${older.size} entries as they were signed then`,
      got: older.size > newer.size ? `a log of ${newer.size} entries` : 'a log that begins otherwise',
      next: 'the log was cut, rewritten or replaced: doorward audit verify',
    })
  }
  const sign = painter(context.color)('green', '✓')
  context.out(`${sign} ${origin}: the ${newer.size} entries begin with the ${older.size} that were signed then`)
}

async function verifyLogs(options: VerifyOptions, context: CliContext): Promise<void> {
  const { verifyPlace } = await import('../apps/verify-log.ts')
  const { places, copyDir } = await machineLogs(context, options)
  const vkey = options.key === undefined ? {} : { vkey: await keyText(options.key) }
  const paint = painter(context.color)
  const reports = []
  for (const place of places) {
    const report = await verifyPlace(place, copyDir, { signal: context.signal, ...vkey, ...progressOf(context, place) })
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
  if (damaged.length > 0) context.fail()
}

interface Progress {
  readonly onProgress?: (progress: { readonly entries: number; readonly expected: number }) => void
}

function progressOf(context: CliContext, { origin }: { readonly origin: string }): Progress {
  if (!context.interactive || context.json) return {}
  return {
    onProgress: ({ entries, expected }) => context.stdout.write(`\r${origin}: ${entries} of ${expected} `),
  }
}
