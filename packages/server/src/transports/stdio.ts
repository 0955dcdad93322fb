/**
 * Child processes that speak one message per line. Commands come from configuration alone and never through a shell;
 * the environment is what configuration says and nothing of ours; the process belongs to another user where possible.
 */

import { spawn } from 'node:child_process'
import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import { Readable } from 'node:stream'
import { GrowingBytes } from '@doorward/enforcement'

export interface StdioCommand {
  /** Program and arguments. */
  readonly command: readonly string[]
  readonly cwd: string
  /** The complete environment. */
  readonly env: Readonly<Record<string, string>>
  /** Another user to run as; null to stay who we are. */
  readonly user: { readonly uid: number; readonly gid: number } | null
  /** Words before the command: a sandbox; none by default. */
  readonly wrapper: readonly string[]
}

export interface StdioEvents {
  readonly onLine: (line: Uint8Array) => void
  /** One line of standard error, cut at 2 KiB. */
  readonly onLog: (text: string) => void
  /** The process is gone, or never was: why, for the operator. */
  readonly onExit: (reason: string) => void
}

const STDERR_LINE = 2048
const STDERR_LINES_PER_SECOND = 20
const LF = 10
const KILL_AFTER = 2000

export class StdioProcess {
  /** Null where it could not be started at all. */
  readonly #child: ChildProcessWithoutNullStreams | null
  readonly #events: StdioEvents
  readonly #lines: LineCutter
  readonly #gone: PromiseWithResolvers<void> = Promise.withResolvers()
  #exited = false
  #reason: string | null = null

  /** Starts the process. One that cannot be started is told by `onExit`, never before this returns. `lineBytes` bounds one message. */
  constructor(command: StdioCommand, lineBytes: number, events: StdioEvents) {
    this.#events = events
    this.#lines = new LineCutter(lineBytes)
    const [program = ''] = [...command.wrapper, ...command.command]
    const child = startedChild(command)
    if (child instanceof Error) {
      this.#child = null
      queueMicrotask(() => this.#end(startProblem(program, child)))
    } else {
      this.#child = child
      this.#watch(child, program)
    }
  }

  /** Resolves when the process is gone. */
  get gone(): Promise<void> {
    return this.#gone.promise
  }

  /** Writes one message, if there is room; CR and LF in it become spaces, which JSON allows anywhere that they can stand. */
  write(message: Uint8Array): boolean {
    const stdin = this.#child?.stdin
    if (this.#exited || stdin === undefined || !stdin.writable || stdin.writableLength >= MAX_WAITING) return false
    const line = new Uint8Array(message.length + 1)
    for (let i = 0; i < message.length; i++) line[i] = message[i] === LF || message[i] === 13 ? 32 : message[i]!
    line[message.length] = LF
    stdin.write(line)
    return true
  }

  pause(): void {
    this.#child?.stdout.pause()
  }

  resume(): void {
    this.#child?.stdout.resume()
  }

  /** Closes its input, then asks, then insists (MCP basic/lifecycle, shutdown). */
  stop(): void {
    const child = this.#child
    if (this.#exited || child === null) return
    child.stdin.end()
    const ask = setTimeout(() => this.#signal('SIGTERM'), KILL_AFTER)
    const insist = setTimeout(() => this.#signal('SIGKILL'), 2 * KILL_AFTER)
    child.once('exit', () => {
      clearTimeout(ask)
      clearTimeout(insist)
    })
  }

  #watch(child: ChildProcessWithoutNullStreams, program: string): void {
    child.on('error', (error: NodeJS.ErrnoException) => this.#end(startProblem(program, error)))
    child.on('exit', (code, signal) => {
      // Children that it left behind, whoever ended it.
      this.#signal('SIGKILL')
      this.#end(this.#reason ?? (signal === null ? `it ended with exit code ${code}` : `it was ended by ${signal}`))
    })
    // Writing to a process that has gone is told by its exit.
    child.stdin.on('error', () => undefined)
    child.stdout.on('error', () => undefined)
    child.stderr.on('error', () => undefined)
    child.stdout.on('data', (chunk: Buffer) => this.#read(chunk))
    this.#watchErrors(child)
  }

  #read(chunk: Buffer): void {
    try {
      for (const line of this.#lines.push(chunk)) this.#events.onLine(line)
    } catch {
      // Whatever it was: one server's line ends one server's process, and not the gateway's.
      return this.#kill('it sent a line that cannot be taken')
    }
    if (this.#lines.overflown) this.#kill('it sent a line that is too long')
  }

  #kill(reason: string): void {
    this.#reason ??= reason
    this.#signal('SIGKILL')
  }

  #watchErrors(child: ChildProcessWithoutNullStreams): void {
    const cutter = new LineCutter(STDERR_LINE)
    let second = 0
    let count = 0
    child.stderr.on('data', (chunk: Buffer) => {
      const now = Math.floor(performance.now() / 1000)
      if (now !== second) count = 0
      second = now
      for (const line of cutter.push(chunk.subarray(0, 64 * 1024))) {
        if (++count <= STDERR_LINES_PER_SECOND) this.#events.onLog(Buffer.from(line).toString('utf8'))
      }
      if (cutter.overflown) cutter.reset()
    })
  }

  #signal(signal: 'SIGTERM' | 'SIGKILL'): void {
    const pid = this.#child?.pid
    if (pid === undefined) return
    try {
      process.kill(process.platform === 'win32' ? pid : -pid, signal)
    } catch {
      // Gone already.
    }
  }

  #end(reason: string): void {
    if (this.#exited) return
    this.#exited = true
    this.#gone.resolve()
    this.#events.onExit(reason)
  }
}

/** Bytes that may wait for a process that does not read. */
const MAX_WAITING = 4 * 1024 * 1024

/**
 * Some errors of a start are told as an event, others are thrown (a part of the path that is no folder, a program that is
 * being written); where no descriptor is left the child has no streams.
 */
function startedChild({ command, wrapper, cwd, env, user }: StdioCommand): ChildProcessWithoutNullStreams | Error {
  const [program = '', ...args] = [...wrapper, ...command]
  try {
    const child = spawn(program, args, {
      cwd,
      env: { ...env },
      stdio: ['pipe', 'pipe', 'pipe'],
      shell: false,
      // Its own group, so that what it starts ends with it.
      detached: process.platform !== 'win32',
      windowsHide: true,
      ...user,
    })
    if (Reflect.get(child, 'stderr') instanceof Readable) return child
    child.on('error', () => undefined)
    return new Error('no file descriptor is left')
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error))
  }
}

function startProblem(program: string, error: NodeJS.ErrnoException): string {
  const name = `its program ${JSON.stringify(program)}`
  if (error.code === 'ENOENT') return `${name} does not exist, or its working folder does not`
  if (error.code === 'EACCES') return `${name} may not be executed by the user that servers run as`
  return `${name} could not be started: ${error.code ?? error.message}`
}

/** Cuts at LF; a CR before it belongs to the line end. */
class LineCutter {
  readonly #limit: number
  readonly #held = new GrowingBytes()
  #overflown = false

  constructor(limit: number) {
    this.#limit = limit
  }

  get overflown(): boolean {
    return this.#overflown
  }

  reset(): void {
    this.#held.take(this.#held.length)
    this.#overflown = false
  }

  push(chunk: Uint8Array): Uint8Array[] {
    const lines: Uint8Array[] = []
    let start = 0
    for (let at = chunk.indexOf(LF); at >= 0; at = chunk.indexOf(LF, start)) {
      this.#held.append(chunk.subarray(start, at))
      const line = trimmed(this.#held.take(this.#held.length))
      if (line.length > this.#limit) this.#overflown = true
      else if (line.length > 0) lines.push(line)
      start = at + 1
    }
    this.#held.append(chunk.subarray(start))
    if (this.#held.length > this.#limit) this.#overflown = true
    return lines
  }
}

function trimmed(line: Uint8Array): Uint8Array {
  return line.at(-1) === 13 ? line.subarray(0, -1) : line
}
