/** `doorward authority recover`: new keys after a compromise, the old ones refused everywhere, and shown to be. */

import { createInterface } from 'node:readline/promises'
import { open } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import type { Command } from 'commander'
import { DoorwardError } from '@doorward/core'
import type { Probe } from '@doorward/sdk'
import type { RecoveryOutcome } from '../../apps/recovery.ts'
import type { RootSigner } from '../../apps/root-signer.ts'
import { CheckFailed } from '../failure.ts'
import { asOption } from '../identity-option.ts'
import type { CliContext } from '../context.ts'
import { painter, printable, table } from '../output.ts'
import { ProgressLines } from './progress.ts'
import { operating, operatingThrough } from './standing.ts'
import type { Operating } from './standing.ts'

interface RecoverOptions {
  readonly as?: string
  readonly reason?: string
  readonly emergency: boolean
  readonly exclude: readonly string[]
  readonly root?: string
  readonly elsewhere: boolean
  readonly resume: boolean
  readonly abandon: boolean
  readonly report?: string
  readonly yes: boolean
}

export function registerRecover(authority: Command, context: CliContext): void {
  authority
    .command('recover')
    .description('replace every key after a compromise, refuse the old ones, and show that they are refused')
    .option('--reason <text>', 'what has happened, for the record and the report')
    .option('--emergency', 'refuse the old keys at once: everyone proves themselves anew with their machine key', false)
    .option('--exclude <name...>', 'authorities that get no new keys', [])
    .option('--root <file>', 'the recovery root; the one beside the keys of this deployment by default')
    .option('--elsewhere', 'the recovery root signs elsewhere: wait for `authority delegate --import`', false)
    .option('--resume', 'go on with a recovery that is open', false)
    .option('--abandon', 'give up a recovery that has published nothing yet', false)
    .option('--report <file>', 'write the signed report to this new file')
    .option('--yes', 'do not ask', false)
    .option(...asOption)
    .addHelpText(
      'after',
      '\nExamples:\n  doorward authority recover --reason "stolen disk" --report report.txt\n  doorward authority recover --reason "keys in use by a thief" --emergency --yes',
    )
    .action((options: RecoverOptions) => run(context, options))
}

async function run(context: CliContext, options: RecoverOptions): Promise<void> {
  if (options.abandon) return abandon(context, options)
  if (options.reason === undefined && !options.resume)
    throw new DoorwardError('usage', 'a recovery needs a reason', { next: 'say what has happened with --reason TEXT' })
  const signer = options.elsewhere ? null : await openRoot(context, options.root)
  // First, because a report that cannot be kept would be lost with everything done.
  const file = options.report === undefined ? null : await newFile(options.report)
  try {
    if (!options.resume) await confirm(context, options)
    const outcome = await operatingThrough(context, options.as, (standing) =>
      recoverAs(context, options, signer, standing),
    )
    if (outcome.report !== null) await file?.writeFile(outcome.report)
    show(context, outcome, options.report)
  } finally {
    await file?.close()
  }
}

export async function openRoot(context: CliContext, path: string | undefined): Promise<RootSigner> {
  const { fileRootSigner } = await import('../../apps/root-signer.ts')
  return fileRootSigner(path ?? join((await context.deploymentFolder({ make: false })).keyDir, 'recovery-root.pem'))
}

async function recoverAs(
  context: CliContext,
  options: RecoverOptions,
  signer: RootSigner | null,
  { identity, admin, deployment }: Operating,
): Promise<RecoveryOutcome> {
  const { recover } = await import('../../apps/recovery.ts')
  const { probeTargets } = await import('../../apps/probe-targets.ts')
  const { checkPinned } = await import('../../apps/root-signer.ts')
  if (signer !== null) checkPinned(signer, identity)
  const lines = new ProgressLines(context)
  const { reason = '', emergency, exclude, resume } = options
  if (signer === null && !context.json)
    context.err('sign where the recovery root is: doorward authority delegate --export FILE, then --sign and --import')
  return recover({
    identity,
    admin,
    wanted: { reason, emergency, exclude },
    resume,
    signer,
    targets: probeTargets(deployment, identity.trustStore.view()?.state.authorities ?? []),
    onLook: (ceremony) => lines.show(ceremony),
    signal: context.signal,
  })
}

/** What is lost by a slip of the finger is every key: the trust domain is typed. */
async function confirm(context: CliContext, { yes, emergency }: RecoverOptions): Promise<void> {
  if (yes) return
  const terminal = 'isTTY' in context.stdin && context.stdin.isTTY === true
  const next = 'say that it is meant with --yes'
  if (!terminal || context.json)
    throw new DoorwardError('confirmation_needed', 'nobody is there to confirm the recovery', { next })
  const { trustDomain } = await context.deployment()
  const how = emergency ? 'at once, before anybody has a new certificate' : 'once everyone has a new certificate'
  context.err(`This replaces every key of ${trustDomain} and refuses the old ones ${how}.`)
  const lines = createInterface({ input: context.stdin, output: context.stderr })
  try {
    const typed = await lines.question('Type the trust domain to go on: ', { signal: context.signal })
    if (typed.trim() !== trustDomain)
      throw new CheckFailed('not_confirmed', 'the recovery was not confirmed; nothing has been changed')
  } finally {
    lines.close()
  }
}

async function newFile(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'wx', 0o600)
  } catch (error) {
    throw new DoorwardError('file_not_written', 'the report cannot be written', {
      where: path,
      got: error instanceof Error ? error.message : String(error),
      next: 'name a file that is not there yet; nothing has been changed',
    })
  }
}

async function abandon(context: CliContext, { as }: RecoverOptions): Promise<void> {
  await operating(context, as, async ({ admin }) => {
    const { id, stages } = await admin.abandonCeremony()
    const note = stages.at(-1)?.note ?? ''
    if (context.json) context.out(JSON.stringify({ event: 'abandoned', ceremony: id, note }))
    else context.out(`${painter(context.color)('green', '✓')} ${id}: ${printable(note)}; the keys of before go on`)
  })
}

function show(context: CliContext, outcome: RecoveryOutcome, file: string | undefined): void {
  const { ceremony, verdict, probes, report } = outcome
  if (context.json) {
    const { id, stages } = ceremony
    context.out(JSON.stringify({ event: 'report', ceremony: id, verdict, probes, stages, report, file: file ?? null }))
  } else if (verdict !== 'failed') showProof(context, outcome, file)
  if (verdict === 'proven') return
  const wrong = probes.filter(({ ok }) => !ok).map(({ listener, attempt, got }) => `${listener}, ${attempt}: ${got}`)
  throw verdict === 'failed'
    ? new CheckFailed('recovery_failed', ceremony.stages.at(-1)?.note ?? 'the recovery has failed')
    : new CheckFailed('recovery_unproven', 'the old keys are denied, but not everything was shown to refuse them', {
        ...(wrong.length === 0 ? {} : { got: wrong.slice(0, 5).join('; ') }),
        next: 'look at the listeners that are named, then run a recovery again',
      })
}

function showProof(context: CliContext, { probes, verdict }: RecoveryOutcome, file: string | undefined): void {
  const paint = painter(context.color)
  const rows = probes.map(({ listener, address, attempt, keyId, got, ok }) => [
    ok ? paint('green', '✓') : paint('red', '✗'),
    printable(listener),
    address,
    attempt,
    keyId.slice(0, 12) || '–',
    printable(got),
  ])
  if (rows.length > 0) context.out(table(['', 'LISTENER', 'ADDRESS', 'TRIED', 'KEY', 'GOT'], rows, context.color))
  if (probes.length > 0 || verdict === 'proven') context.out(tally(probes, verdict, paint))
  if (file !== undefined) context.out(paint('dim', `  signed report in ${file}`))
}

function tally(
  probes: readonly Probe[],
  verdict: RecoveryOutcome['verdict'],
  paint: ReturnType<typeof painter>,
): string {
  if (probes.length === 0) return `${paint('green', '✓')} recovered: somebody else has tried the old keys`
  const tried = probes.filter(({ attempt }) => attempt !== 'control')
  const refused = tried.filter(({ ok }) => ok).length
  const text = `${refused} of ${tried.length} attempts with the old keys refused`
  return verdict === 'proven' ? `${paint('green', '✓')} recovered: ${text}` : `${paint('red', '✗')} not proven: ${text}`
}
