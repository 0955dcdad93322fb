/** `doorward authority report`: verifies the report of a recovery, without the network. */

import { readFile } from 'node:fs/promises'
import type { Command } from 'commander'
import { DoorwardError, isJsonObject } from '@doorward/core'
import type { JsonObject, JsonValue } from '@doorward/core'
import { checkpointDir } from '../../config/settings.ts'
import { keyText } from '../audit-places.ts'
import { CheckFailed } from '../failure.ts'
import type { CliContext } from '../context.ts'
import { painter, printable, table } from '../output.ts'

const MAX_FILE = 256 * 1024

export function registerReport(authority: Command, context: CliContext): void {
  authority
    .command('report')
    .description('verify the signed report of a recovery, and show it; needs no running part')
    .argument('<file>', 'the report')
    .option(
      '--key <vkey>',
      'verifier key of the log or a file with it, instead of the one that is kept beside the keys',
    )
    .addHelpText('after', '\nExample:\n  doorward authority report recovery.txt')
    .action((file: string, options: { readonly key?: string }) => report(context, file, options.key))
}

async function report(context: CliContext, file: string, key: string | undefined): Promise<void> {
  const { openReport } = await import('../../apps/recovery-report.ts')
  const note = await read(file)
  const copies = key === undefined ? await copyDir(context) : null
  const { signedBy, document } = await openReport(note, key === undefined ? { copies } : { key: await keyText(key) })
  if (context.json) context.out(JSON.stringify({ signed_by: signedBy, report: document }))
  else show(context, signedBy, document)
  if (document['verdict'] !== 'proven')
    throw new CheckFailed('recovery_unproven', 'the report says that not everything was shown to refuse the old keys')
}

async function copyDir(context: CliContext): Promise<string> {
  return checkpointDir(await context.deployment(), await context.deploymentFolder({ make: false }))
}

async function read(file: string): Promise<string> {
  try {
    return (await readFile(file)).subarray(0, MAX_FILE).toString('utf8')
  } catch (error) {
    const got = error instanceof Error ? error.message : String(error)
    throw new DoorwardError('file_not_read', 'the report cannot be read', { where: file, got })
  }
}

function show(context: CliContext, signedBy: string, document: JsonObject): void {
  const paint = painter(context.color)
  const ceremony = document['ceremony']
  const about = isJsonObject(ceremony) ? ceremony : {}
  const proven = document['verdict'] === 'proven'
  context.out(`${proven ? paint('green', '✓ proven') : paint('red', '✗ unproven')}, signed by ${printable(signedBy)}`)
  context.out(`${textOf(about['id'])}: ${textOf(about['reason'])}, by ${textOf(about['by'])}`)
  const stages = rows(document['stages'], ['stage', 'milliseconds', 'acknowledged', 'reissued', 'straggling'])
  context.out(table(['STAGE', 'MS', 'ACKNOWLEDGED', 'RE-ISSUED', 'STRAGGLING'], stages, context.color))
  const probes = rows(document['probes'], ['listener', 'address', 'attempt', 'got', 'ok'])
  if (probes.length > 0)
    context.out(table(['LISTENER', 'ADDRESS', 'TRIED', 'GOT', 'AS IT MUST'], probes, context.color))
}

function rows(value: JsonValue | undefined, names: readonly string[]): readonly (readonly string[])[] {
  if (!Array.isArray(value)) return []
  return (value as readonly JsonValue[]).filter(isJsonObject).map((one) => names.map((name) => textOf(one[name])))
}

function textOf(value: JsonValue | undefined): string {
  if (value === undefined || value === null) return '–'
  return printable(typeof value === 'string' ? value : JSON.stringify(value))
}
