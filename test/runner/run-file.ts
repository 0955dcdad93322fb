/** Runs one test file in a process group of its own, and ends the whole group with it. */

import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { fileURLToPath } from 'node:url'
import type { TestRecord } from './reporter.ts'

const reporter = fileURLToPath(new URL('reporter.ts', import.meta.url))
const maxOutputChars = 20_000

export interface FileRun {
  readonly path: string
  readonly records: readonly TestRecord[]
  /** The last part of what the file wrote to standard output and standard error. */
  readonly output: string
  readonly seconds: number
}

export interface FileRunOptions {
  readonly cwd: string
  /** Then the process group is killed and the file has failed. */
  readonly timeoutSeconds: number
  /** Kills the process group when the whole run has used up its time. */
  readonly signal?: AbortSignal
  /** The built command, by which deployments are started; their sources where there is none. */
  readonly program?: string
}

/**
 * Runs `path` on this Node.js with the sources of the packages. A file that does not end in time, ends with an error
 * outside its tests, or has no test at all, adds a failed record of its own.
 */
export async function runFile(path: string, options: FileRunOptions): Promise<FileRun> {
  const folder = await mkdtemp(join(tmpdir(), 'doorward-test-'))
  const started = performance.now()
  try {
    const log = join(folder, 'records')
    const { ending, output } = await start(path, log, options)
    const records = parse(await readFile(log, 'utf8').catch(() => ''))
    const missing = problem(ending, records)
    const all = missing === undefined ? records : [...records, { kind: 'failed' as const, name: path, detail: missing }]
    return { path, records: all, output, seconds: (performance.now() - started) / 1000 }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

const leave = new URL('leave.ts', import.meta.url).href

type Ending =
  | { readonly kind: 'exited'; readonly code: number | null }
  | { readonly kind: 'killed'; readonly why: string }

/** node:test hides the reporter from a run that believes to be part of another one. */
const { NODE_TEST_CONTEXT: _, DOORWARD_TEST_PROGRAM: __, ...inherited } = process.env

/** Most of what a test's processes do is to compile the same sources once more. */
const env = { ...inherited, NODE_COMPILE_CACHE: join(import.meta.dirname, '../../node_modules/.cache/doorward-tests') }

function start(path: string, log: string, options: FileRunOptions): Promise<{ ending: Ending; output: string }> {
  return new Promise((resolve, reject) => {
    const args = [
      '--conditions=source',
      '--import',
      leave,
      `--test-reporter=${reporter}`,
      `--test-reporter-destination=${log}`,
      path,
    ]
    const child = spawn(process.execPath, args, {
      cwd: options.cwd,
      env: options.program === undefined ? env : { ...env, DOORWARD_TEST_PROGRAM: options.program },
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let output = ''
    let why: string | undefined
    const kill = (reason: string): void => {
      why ??= reason
      endGroup(child.pid)
    }
    const keep = (chunk: Buffer): void => void (output = `${output}${chunk.toString('utf8')}`.slice(-maxOutputChars))
    child.stdout.on('data', keep)
    child.stderr.on('data', keep)
    const timer = setTimeout(
      () => kill(`did not end within ${options.timeoutSeconds} s`),
      options.timeoutSeconds * 1000,
    )
    const outOfTime = (): void => kill('the time for the whole run was used up')
    if (options.signal?.aborted === true) outOfTime()
    options.signal?.addEventListener('abort', outOfTime)
    child.once('error', reject)
    child.once('exit', (code) => {
      clearTimeout(timer)
      options.signal?.removeEventListener('abort', outOfTime)
      // What the test has started and left behind must not outlive it.
      endGroup(child.pid)
      resolve({ ending: why === undefined ? { kind: 'exited', code } : { kind: 'killed', why }, output })
    })
  })
}

function endGroup(pid: number | undefined): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, 'SIGKILL')
  } catch (error) {
    // Nobody is left in the group.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

function parse(log: string): readonly TestRecord[] {
  // A killed file may have left half a line.
  return log
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as TestRecord)
}

function problem(ending: Ending, records: readonly TestRecord[]): string | undefined {
  if (ending.kind === 'killed') return ending.why
  const failed = records.some((record) => record.kind === 'failed')
  if (ending.code !== 0 && !failed) return `ended with code ${ending.code} outside its tests`
  return records.some((record) => record.kind !== 'note') ? undefined : 'has no test'
}
