/** `doorward join`: becomes the workload that a join string names. The string comes by file or standard input, never by argument or environment. */

import { readFile, stat } from 'node:fs/promises'
import type { Command } from 'commander'
import { DoorwardError, fromUtf8, Secret } from '@doorward/core'
import type { CliContext } from './context.ts'
import { CheckFailed } from './failure.ts'
import { painter } from './output.ts'

const MAX_BYTES = 8192

export function register(program: Command, context: CliContext): void {
  program
    .command('join')
    .description('become the workload that a join string names')
    .option('--file <path>', 'file that holds the join string; standard input by default')
    .addHelpText(
      'after',
      '\nExamples:\n  doorward join --file planner.join\n  doorward workload add agent/planner | doorward join',
    )
    .action((options: { readonly file?: string }) => join(options, context))
}

async function join(options: { readonly file?: string }, context: CliContext): Promise<void> {
  const { joinLocally, identityName } = await import('../apps/local-identities.ts')
  const { ServerRefused } = await import('@doorward/sdk')
  const text = options.file === undefined ? await fromInput(context) : await fromFile(options.file)
  const place = { deployment: await context.deployment(), environment: context.environment }
  try {
    const { id, folder, notAfter } = await joinLocally(place, text)
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
    if (error instanceof ServerRefused)
      throw new CheckFailed(error.code, error.message, {
        next: 'ask the operator for a new join string: each works once, for ten minutes',
      })
    throw error
  }
}

async function fromInput(context: CliContext): Promise<Secret> {
  if ('isTTY' in context.stdin && context.stdin.isTTY === true)
    context.err('paste the join string, then end with Ctrl-D:')
  const parts: Uint8Array[] = []
  let length = 0
  for await (const part of context.stdin as AsyncIterable<Uint8Array>) {
    length += part.length
    if (length > MAX_BYTES) throw tooLong('standard input')
    parts.push(part)
  }
  return new Secret(fromUtf8(Buffer.concat(parts)))
}

async function fromFile(path: string): Promise<Secret> {
  try {
    if ((await stat(path)).size > MAX_BYTES) throw tooLong(path)
    return new Secret(fromUtf8(await readFile(path)))
  } catch (error) {
    if (error instanceof DoorwardError) throw error
    throw new DoorwardError('join_string_unreadable', 'the join string cannot be read', {
      where: path,
      got: error instanceof Error ? error.message : String(error),
    })
  }
}

function tooLong(where: string): DoorwardError {
  return new DoorwardError('join_string_invalid', 'that is too long for a join string', {
    where,
    expected: `at most ${MAX_BYTES} bytes`,
  })
}
