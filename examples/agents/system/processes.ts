/** Programs as processes of their own. What they print goes to a file, so that it is there before their answer is. */

import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

export interface Command {
  readonly file: string
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly cwd: string
}

export interface Program extends AsyncDisposable {
  readonly name: string
  readonly output: string
}

const START_MILLISECONDS = 60_000
/** Longer than any of ours takes to end what is under way. */
const STOP_MILLISECONDS = 20_000

/** The same Node.js with the same sources; compiled once for all of them. */
export function ownCommand(
  script: string,
  more: Omit<Command, 'file' | 'args'>,
  words: readonly string[] = [],
): Command {
  const { NODE_COMPILE_CACHE = join(tmpdir(), 'node-compile-cache') } = process.env
  const args = [...process.execArgv, script, ...words]
  return { file: process.execPath, args, cwd: more.cwd, env: { ...more.env, NODE_COMPILE_CACHE } }
}

/** Resolves when the program has printed a line that `ready` knows. Throws with all that it has printed when it ends instead. */
export async function startProgram(
  name: string,
  command: Command,
  { output, ready }: { readonly output: string; readonly ready: RegExp },
): Promise<Program> {
  const file = openSync(output, 'a', 0o600)
  const child = spawn(command.file, command.args, { ...command, stdio: ['ignore', file, file] })
  closeSync(file)
  const failed = once(child, 'error').then(([error]) => Promise.reject(error as Error))
  failed.catch(() => undefined)
  const program = { name, output, [Symbol.asyncDispose]: () => stop(child) }
  for (const end = Date.now() + START_MILLISECONDS; ; await Promise.race([sleep(25), failed])) {
    const printed = await readFile(output, 'utf8')
    if (ready.test(printed)) return program
    if (child.exitCode === null && child.signalCode === null && Date.now() < end) continue
    await stop(child)
    throw new Error(`${name} did not start\n${printed}`)
  }
}

/** Runs a command to its end. Throws with what it has printed unless it ends well. */
export async function runCommand({ file, args, ...more }: Command): Promise<string> {
  const child = spawn(file, args, { ...more, stdio: ['ignore', 'pipe', 'pipe'] })
  const printed = { out: '', err: '' }
  child.stdout.setEncoding('utf8').on('data', (part: string) => (printed.out += part))
  child.stderr.setEncoding('utf8').on('data', (part: string) => (printed.err += part))
  const [code] = (await once(child, 'close')) as [number | null]
  if (code === 0) return printed.out
  throw new Error(`${args.slice(1).join(' ')} ended with ${code}\n${printed.out}${printed.err}`)
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  // Who could not be started does not end either.
  if (child.pid === undefined) return
  const over = new AbortController()
  const ended = once(child, 'exit').finally(() => over.abort())
  child.kill('SIGTERM')
  await sleep(STOP_MILLISECONDS, undefined, { signal: over.signal }).then(
    () => child.kill('SIGKILL'),
    () => undefined,
  )
  await ended
}
