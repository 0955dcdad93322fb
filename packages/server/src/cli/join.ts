/**
 * `doorward join`: becomes the workload that a join string names, by its token or by other evidence. Join strings and
 * evidence come by file or standard input, never by argument or environment.
 */

import type { Command } from 'commander'
import { Option } from 'commander'
import { DoorwardError, fromUtf8, Secret } from '@doorward/core'
import type { Evidence } from '@doorward/sdk'
import { readBoundedFile } from '../config/certificate-file.ts'
import type { CliContext } from './context.ts'
import { CheckFailed } from './failure.ts'
import { evidenceKinds, joinEvidence } from './join-evidence.ts'
import type { EvidenceOptions } from './join-evidence.ts'
import { painter } from './output.ts'

const MAX_BYTES = 8192

interface JoinOptions extends EvidenceOptions {
  readonly file?: string
}

export function register(program: Command, context: CliContext): void {
  program
    .command('join')
    .description('become the workload that a join string names')
    .option('--file <path>', 'file that holds the join string; standard input by default')
    .addOption(
      new Option('--attest <kind>', 'how it proves itself; the token of the join string by default').choices(
        evidenceKinds,
      ),
    )
    .option('--token-file <path>', 'file with the token of the platform, for --attest oidc')
    .option('--cert <path>', 'PEM file with the certificate and those above it, for --attest x509')
    .option('--key <path>', 'PEM file with the key of the certificate, for --attest x509')
    .addHelpText(
      'after',
      '\nExamples:\n  doorward join --file planner.join\n  doorward workload add agent/planner | doorward join\n  doorward join --file ci.join --attest oidc --token-file /var/run/secrets/doorward/token\n  doorward join --file device.join --attest x509 --cert device.pem --key device-key.pem',
    )
    .action((options: JoinOptions) => join(options, context))
}

async function join(options: JoinOptions, context: CliContext): Promise<void> {
  const { joinLocally, identityName } = await import('../apps/local-identities.ts')
  const evidence = await joinEvidence(options)
  const text = options.file === undefined ? await fromInput(context) : await fromFile(options.file)
  const place = { deployment: await context.deployment(), environment: context.environment }
  try {
    const { id, folder, notAfter } = await joinLocally(place, text, evidence)
    if (context.json) context.out(JSON.stringify({ id: id.uri, name: identityName(id), folder, not_after: notAfter }))
    else {
      const paint = painter(context.color)
      context.out(`${paint('green', '✓')} joined as ${id.uri}`)
      context.out(
        paint(
          'dim',
          `  use it with --as ${identityName(id)}; it renews itself, and its machine key brings it back after any absence`,
        ),
      )
    }
  } catch (error) {
    throw await told(error, evidence)
  }
}

async function told(error: unknown, evidence: Evidence | null): Promise<unknown> {
  const { ServerRefused } = await import('@doorward/sdk')
  if (!(error instanceof ServerRefused)) return error
  return new CheckFailed(error.code, error.message, { next: nextStep(error.code, evidence) })
}

function nextStep(code: string, evidence: Evidence | null): string {
  if (code === 'instance_locked')
    return 'this key was used in two places, or replaced: find out by whom; the operator sees it with doorward workload show, and can invite anew'
  if (evidence !== null)
    return 'compare what is proven with the registration: doorward workload show; the record of the authority says what was missing'
  return 'ask the operator for a new join string: each works once, for ten minutes'
}

async function fromInput(context: CliContext): Promise<Secret> {
  if ('isTTY' in context.stdin && context.stdin.isTTY === true)
    context.err('paste the join string, then end with Ctrl-D:')
  const parts: Uint8Array[] = []
  let length = 0
  for await (const part of context.stdin as AsyncIterable<Uint8Array>) {
    length += part.length
    if (length > MAX_BYTES)
      throw new DoorwardError('join_string_invalid', 'that is too long for a join string', {
        where: 'standard input',
        expected: `at most ${MAX_BYTES} bytes`,
      })
    parts.push(part)
  }
  return new Secret(fromUtf8(Buffer.concat(parts)))
}

async function fromFile(path: string): Promise<Secret> {
  try {
    return new Secret(fromUtf8(await readBoundedFile(path, MAX_BYTES)))
  } catch (error) {
    const { expected, got } = error instanceof DoorwardError ? error : { expected: 'text', got: String(error) }
    throw new DoorwardError('join_string_unreadable', 'the join string cannot be read', {
      where: path,
      ...(expected === undefined ? {} : { expected }),
      ...(got === undefined ? {} : { got }),
    })
  }
}
