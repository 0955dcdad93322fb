/** The program to run after each change: without a shell, one at a time, within bounds; its failure is told and harms nobody. */

import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { DoorwardError } from '@doorward/core'

export interface ChangeCommandOptions {
  /** Program and arguments, as they are. */
  readonly words: readonly [program: string, ...rest: string[]]
  /** The complete environment. */
  readonly env: Readonly<Record<string, string>>
  /** Hears how each run ended: null when all was well, else `command_failed`, `command_timeout` or `command_not_started`. */
  readonly report: (problem: DoorwardError | null) => void
  /** How long one run may take; 30 s by default. */
  readonly limitMilliseconds?: number
}

const LIMIT = 30_000

export class ChangeCommand {
  readonly #options: ChangeCommandOptions
  readonly #cut = new AbortController()
  #running: Promise<void> | null = null
  #waiting = false
  #stopped = false

  constructor(options: ChangeCommandOptions) {
    this.#options = options
  }

  /** Runs the program; while it runs already, once more afterwards, however often this is asked. */
  trigger(): void {
    if (this.#stopped) return
    this.#waiting = true
    this.#running ??= this.#runAll()
  }

  /** Resolves when nothing runs and nothing waits. */
  async idle(): Promise<void> {
    await this.#running
  }

  /** Runs nothing more; what runs is killed after the grace. */
  async stop(graceMilliseconds: number): Promise<void> {
    this.#stopped = true
    const timer = setTimeout(() => this.#cut.abort(), graceMilliseconds)
    await this.#running
    clearTimeout(timer)
  }

  async #runAll(): Promise<void> {
    while (this.#waiting && !this.#stopped) {
      this.#waiting = false
      this.#options.report(await runOnce(this.#options, this.#cut.signal))
    }
    this.#running = null
  }
}

/** Ends with the program's end, or when its whole group has been killed. Never rejects. */
async function runOnce(options: ChangeCommandOptions, cut: AbortSignal): Promise<DoorwardError | null> {
  const { words, env, limitMilliseconds = LIMIT } = options
  const [program, ...rest] = words
  const limit = AbortSignal.timeout(limitMilliseconds)
  const over = AbortSignal.any([limit, cut])
  try {
    // What it prints goes where our own notices go. A group of its own, so that nothing of it outlives its limit.
    const child = spawn(program, rest, { env, shell: false, detached: true, stdio: ['ignore', 2, 2] })
    over.addEventListener('abort', () => killGroup(child), { once: true })
    const how = await endOf(child)
    if (how === null) return null
    if (limit.aborted) return problemOf('command_timeout', program, `no end within ${limitMilliseconds / 1000} s`)
    return problemOf('command_failed', program, how)
  } catch (error) {
    return notStarted(program, error)
  }
}

/** Null for a good end. Rejects when the program did not start. */
function endOf(child: ChildProcess): Promise<string | null> {
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code, signal) => {
      if (code === 0) resolve(null)
      else resolve(signal === null ? `exit code ${code}` : `signal ${signal}`)
    })
  })
}

function killGroup({ pid }: ChildProcess): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL')
  } catch {
    // It has ended by itself in this moment.
  }
}

function notStarted(where: string, cause: unknown): DoorwardError {
  return new DoorwardError('command_not_started', 'the program to run after a change could not be started', {
    where,
    got: cause instanceof Error ? cause.message : String(cause),
    cause,
  })
}

function problemOf(code: string, where: string, got: string): DoorwardError {
  return new DoorwardError(code, 'the program to run after a change failed', { where, expected: 'exit code 0', got })
}
