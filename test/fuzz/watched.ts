/** A target in a process of its own: one that does not end, or fills the memory, is a finding and ends nothing else. */

import { fork } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { FuzzFinding } from './targets/index.ts'

export interface WatchedRun {
  /** The module that has the targets as `fuzzTargets`. */
  readonly module: string
  readonly target: string
  readonly seed: number
  readonly seconds: number
  /** Of one input, which is no matter of the machine: no reader takes a thousandth of it. */
  readonly inputSeconds: number
  readonly megabytes: number
}

/** What the process is told. */
export interface WatchedOrder extends WatchedRun {
  /** Where it writes each input before it judges it: a number of four bytes, the length of the input, and the input. */
  readonly current: string
}

export interface WatchedResult {
  readonly done: number
  readonly verdicts: readonly (readonly [string, number])[]
  readonly found: FuzzFinding | null
}

/** As it comes from the process. */
export interface WatchedAnswer {
  readonly done: number
  readonly verdicts: readonly (readonly [string, number])[]
  readonly what: string | null
}

const POLL_MILLISECONDS = 50
/** For loading what it reads with. */
const START_SECONDS = 120

export async function runWatched(run: WatchedRun): Promise<WatchedResult> {
  const folder = mkdtempSync(join(tmpdir(), 'doorward-fuzz-'))
  const current = join(folder, 'current')
  writeFileSync(current, Buffer.alloc(8))
  const order: WatchedOrder = { ...run, current }
  const child = fork(join(import.meta.dirname, 'watched-process.ts'), [JSON.stringify(order)], {
    execArgv: ['--conditions=source', `--max-old-space-size=${run.megabytes}`],
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  })
  const ended = Promise.withResolvers<WatchedResult>()
  const found = (what: string) => ended.resolve({ ...inputAt(current, what), verdicts: [] })
  child.once('message', ({ done, verdicts, what }: WatchedAnswer) =>
    what === null ? ended.resolve({ done, verdicts, found: null }) : found(what),
  )
  child.once('exit', (code, signal) => found(`the process ended with ${signal ?? code}`))
  let [seen, since] = [0, performance.now()]
  const watch = setInterval(() => {
    const { done } = inputAt(current, '')
    if (done !== seen) [seen, since] = [done, performance.now()]
    else if (performance.now() - since > (done > 0 ? run.inputSeconds : START_SECONDS) * 1000)
      found(done > 0 ? `an input that takes more than ${run.inputSeconds} s` : `no input within ${START_SECONDS} s`)
  }, POLL_MILLISECONDS)
  try {
    return await ended.promise
  } finally {
    clearInterval(watch)
    child.removeAllListeners()
    child.kill('SIGKILL')
    rmSync(folder, { recursive: true, force: true })
  }
}

function inputAt(path: string, what: string): { readonly done: number; readonly found: FuzzFinding } {
  const bytes = readFileSync(path)
  const input = new Uint8Array(bytes.subarray(8, 8 + bytes.readUInt32LE(4)))
  return { done: bytes.readUInt32LE(0), found: { what, input } }
}
