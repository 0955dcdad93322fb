/** Runs test files in a process group of their own, and ends the whole group with them. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { noFileLeft } from './batches.ts'
import type { TestRecord } from './reporter.ts'

const reporter = fileURLToPath(new URL('reporter.ts', import.meta.url))
const batch = fileURLToPath(new URL('batch.ts', import.meta.url))
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
  /** Of one file. Then the process group is killed and the file has failed. */
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
  const { ending, output, records, seconds } = await runProcess([path], options)
  return { path, records: withProblem(path, records, outside(ending, records)), output, seconds }
}

/**
 * Runs the files in one process, one after the other. When it is killed or dies, the file that was under way has failed,
 * and the others run again by themselves, which is said in their notes. What failed stays failed.
 */
export async function runBatch(paths: readonly string[], options: FileRunOptions): Promise<readonly FileRun[]> {
  const [only] = paths
  if (only !== undefined && paths.length === 1) return [await runFile(only, options)]
  const run = await runProcess(paths, options)
  const prefix = (path: string): string => `${path} › `
  const own = (path: string): readonly TestRecord[] =>
    run.records
      .filter(({ name }) => name === path || name.startsWith(prefix(path)))
      .map((record) => ({ ...record, name: record.name === path ? path : record.name.slice(prefix(path).length) }))
  const why =
    outside(run.ending, run.records) ?? (run.begun.at(-1)?.path === noFileLeft ? undefined : 'ended too early')
  const runs = paths.map((path) => ({ path, records: own(path), output: run.output, seconds: secondsOf(run, path) }))
  if (why === undefined) return runs.map((each) => ({ ...each, records: withProblem(each.path, each.records) }))

  const culprit = run.begun.at(-1)?.path
  const again = await runAgain(runs, culprit, { ...options, why })
  if (culprit !== noFileLeft || again.some(({ records }) => records.some(({ kind }) => kind === 'failed'))) return again
  // Each of them is innocent by itself.
  const name = `batch of ${paths.join(', ')}`
  return [...again, { path: name, records: [failed(name, why)], output: run.output, seconds: run.seconds }]
}

async function runAgain(
  runs: readonly FileRun[],
  culprit: string | undefined,
  options: FileRunOptions & { readonly why: string },
): Promise<readonly FileRun[]> {
  const again: FileRun[] = []
  for (const run of runs) {
    if (run.path === culprit) {
      again.push({ ...run, records: [...run.records, failed(run.path, options.why)] })
      continue
    }
    const { records, ...rest } = await runFile(run.path, options)
    const note: TestRecord = { kind: 'note', name: run.path, detail: `ran again by itself: its batch ${options.why}` }
    again.push({ ...rest, records: [...run.records.filter(({ kind }) => kind === 'failed'), ...records, note] })
  }
  return again
}

const failed = (name: string, detail: string): TestRecord => ({ kind: 'failed', name, detail })

/** A batch does not say when a file has ended, only when the next one begins. */
function secondsOf(run: ProcessRun, path: string): number {
  const at = run.begun.findIndex((each) => each.path === path)
  const begun = run.begun[at]
  return begun === undefined ? 0 : (run.begun[at + 1]?.atSeconds ?? run.seconds) - begun.atSeconds
}

interface ProcessRun {
  readonly ending: Ending
  readonly output: string
  readonly records: readonly TestRecord[]
  readonly seconds: number
  /** The files of a batch as they begin, and `noFileLeft`. */
  readonly begun: readonly Begun[]
}

interface Begun {
  readonly path: string
  /** Since the process was started. */
  readonly atSeconds: number
}

async function runProcess(paths: readonly string[], options: FileRunOptions): Promise<ProcessRun> {
  const folder = await mkdtemp(join(tmpdir(), 'doorward-test-'))
  const started = performance.now()
  const sinceStart = (): number => (performance.now() - started) / 1000
  try {
    const log = join(folder, 'records')
    const begun: Begun[] = []
    const files = paths.length === 1 ? paths : [batch, ...paths]
    const { ending, output } = await start(files, log, {
      ...options,
      begins: (path) => begun.push({ path, atSeconds: sinceStart() }),
    })
    const records = parse(await readFile(log, 'utf8').catch(() => ''))
    return { ending, output, records, seconds: sinceStart(), begun }
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

interface StartOptions extends FileRunOptions {
  /** Each line of the progress of a batch. */
  readonly begins: (path: string) => void
}

function start(
  files: readonly string[],
  log: string,
  options: StartOptions,
): Promise<{ ending: Ending; output: string }> {
  return new Promise((resolve, reject) => {
    const args = [
      '--conditions=source',
      '--import',
      leave,
      `--test-reporter=${reporter}`,
      `--test-reporter-destination=${log}`,
      ...files,
    ]
    const child = spawn(process.execPath, args, {
      cwd: options.cwd,
      env: options.program === undefined ? env : { ...env, DOORWARD_TEST_PROGRAM: options.program },
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
    })
    let output = ''
    let why: string | undefined
    const kill = (reason: string): void => {
      why ??= reason
      endGroup(child.pid)
    }
    const keep = (chunk: Buffer): void => void (output = `${output}${chunk.toString('utf8')}`.slice(-maxOutputChars))
    child.stdout?.on('data', keep)
    child.stderr?.on('data', keep)
    const timer = setTimeout(
      () => kill(`did not end within ${options.timeoutSeconds} s`),
      options.timeoutSeconds * 1000,
    )
    const progress = createInterface({ input: child.stdio[3] as Readable }).on('line', (path) => {
      timer.refresh()
      options.begins(path)
    })
    const told = once(progress, 'close')
    const outOfTime = (): void => kill('the time for the whole run was used up')
    if (options.signal?.aborted === true) outOfTime()
    options.signal?.addEventListener('abort', outOfTime)
    child.once('error', reject)
    child.once('exit', (code) => {
      clearTimeout(timer)
      options.signal?.removeEventListener('abort', outOfTime)
      // What the test has started and left behind must not outlive it.
      endGroup(child.pid)
      const ending: Ending = why === undefined ? { kind: 'exited', code } : { kind: 'killed', why }
      void told.then(() => resolve({ ending, output }))
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

/** What went wrong outside the tests. */
function outside(ending: Ending, records: readonly TestRecord[]): string | undefined {
  if (ending.kind === 'killed') return ending.why
  const told = records.some((record) => record.kind === 'failed')
  return ending.code !== 0 && !told ? `ended with code ${ending.code} outside its tests` : undefined
}

function withProblem(path: string, records: readonly TestRecord[], why?: string): readonly TestRecord[] {
  const problem = why ?? (records.some((record) => record.kind !== 'note') ? undefined : 'has no test')
  return problem === undefined ? records : [...records, failed(path, problem)]
}
