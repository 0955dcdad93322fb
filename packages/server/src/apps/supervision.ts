/**
 * The supervisor's half of the talk with its two processes, over Node's IPC channel between parent and child.
 *
 * Nothing on it is trusted more than a command line would be: it exists only between processes of one user, and the
 * one secret that crosses it, a join string, is single use.
 */

import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { closeSync, mkdirSync, openSync, statSync, truncateSync } from 'node:fs'
import { dirname } from 'node:path'
import { DoorwardError } from '@doorward/core'
import { z } from 'zod'

export const childMessage = z.discriminatedUnion('type', [
  z.object({ type: z.literal('ready'), details: z.record(z.string(), z.unknown()) }),
  z.object({
    type: z.literal('failed'),
    error: z.object({
      code: z.string(),
      message: z.string(),
      where: z.string().optional(),
      expected: z.string().optional(),
      got: z.string().optional(),
      next: z.string().optional(),
    }),
  }),
  z.object({ type: z.literal('notice'), text: z.string() }),
  /** Gateway → supervisor: it has no identity yet. */
  z.object({ type: z.literal('join-wanted') }),
  /** Authority → supervisor: the answer to `join-request`. */
  z.object({ type: z.literal('join-string'), request: z.int(), text: z.string() }),
  z.object({ type: z.literal('join-failed'), request: z.int(), message: z.string() }),
])
export type ChildMessage = z.output<typeof childMessage>

export const parentMessage = z.discriminatedUnion('type', [
  /** Supervisor → authority: register the workload unless it is there, and make a join string for it. */
  z.object({ type: z.literal('join-request'), request: z.int(), id: z.string(), roles: z.array(z.string()) }),
  /** Supervisor → gateway. */
  z.object({ type: z.literal('join-string'), text: z.string() }),
  /** Supervisor → both: read the policy anew. */
  z.object({ type: z.literal('reload-policy') }),
])
export type ParentMessage = z.output<typeof parentMessage>

const MAX_LOG = 16 * 1024 * 1024
const START_MILLISECONDS = 60_000
const STOP_MILLISECONDS = 12_000

export interface ChildOptions {
  readonly name: string
  /** Node.js binary and arguments. */
  readonly command: readonly string[]
  /** The complete environment. */
  readonly env: Readonly<Record<string, string>>
  /** Where standard output and error of the child go. */
  readonly logFile: string
  readonly onMessage: (message: ChildMessage, child: Child) => void
  /** Called once, with null after `stop`. */
  readonly onExit: (how: string | null) => void
}

/**
 * A process that holds keys and secrets leaves no copy of its memory on a disk when it crashes, nor does a server that it starts:
 * the limit can be raised again by nobody but root. Node.js cannot set it, a shell can, and is then the program itself.
 */
function withoutCore(command: readonly string[]): readonly string[] {
  return process.platform === 'win32' ? command : ['/bin/sh', '-c', 'ulimit -c 0; exec "$0" "$@"', ...command]
}

/** One supervised process. */
export class Child {
  readonly #process: ChildProcess
  readonly #ready: Promise<Readonly<Record<string, unknown>>>
  #stopping = false

  constructor(options: ChildOptions) {
    const log = openLog(options.logFile)
    const [binary = process.execPath, ...args] = withoutCore(options.command)
    this.#process = spawn(binary, args, {
      env: { ...options.env },
      stdio: ['ignore', log, log, 'ipc'],
      windowsHide: true,
    })
    closeSync(log)
    this.#ready = this.#awaitReady(options)
    // A child that dies before anybody waits for it is told through onExit.
    this.#ready.catch(() => undefined)
    this.#process.once('exit', (code, signal) =>
      options.onExit(this.#stopping ? null : (signal ?? `exit code ${code}`)),
    )
  }

  #awaitReady(options: ChildOptions): Promise<Readonly<Record<string, unknown>>> {
    const { name, logFile } = options
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new DoorwardError('child_slow', `the ${name} did not get ready in time`, { where: logFile })),
        START_MILLISECONDS,
      )
      this.#process.on('message', (raw) => {
        const parsed = childMessage.safeParse(raw)
        if (!parsed.success) return
        const message = parsed.data
        if (message.type === 'ready') {
          clearTimeout(timer)
          resolve(message.details)
        } else if (message.type === 'failed') {
          clearTimeout(timer)
          reject(failureOf(message.error))
        }
        options.onMessage(message, this)
      })
      this.#process.once('error', (error) => {
        clearTimeout(timer)
        reject(new DoorwardError('child_failed', `the ${name} could not be started`, { got: error.message }))
      })
      this.#process.once('exit', (code, signal) => {
        clearTimeout(timer)
        reject(
          new DoorwardError('child_failed', `the ${name} ended before it was ready`, {
            got: signal ?? `exit code ${code}`,
            where: logFile,
            next: 'its last lines in that file say why',
          }),
        )
      })
    })
  }

  get pid(): number | undefined {
    return this.#process.pid
  }

  /** What the child says of itself once it serves. Rejects with the child's own error. */
  ready(): Promise<Readonly<Record<string, unknown>>> {
    return this.#ready
  }

  send(message: ParentMessage): void {
    if (this.#process.connected) this.#process.send(message)
  }

  /** Asks the child to end, and ends it when it does not. */
  async stop(): Promise<void> {
    this.#stopping = true
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return
    const gone = new Promise<void>((resolve) => this.#process.once('exit', () => resolve()))
    this.#process.kill('SIGTERM')
    const timer = setTimeout(() => this.#process.kill('SIGKILL'), STOP_MILLISECONDS)
    await gone
    clearTimeout(timer)
  }
}

function openLog(file: string): number {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
  const log = openSync(file, 'a', 0o600)
  if (statSync(file).size > MAX_LOG) truncateSync(file, 0)
  return log
}

function failureOf(error: Extract<ChildMessage, { type: 'failed' }>['error']): DoorwardError {
  const { code, message, where, expected, got, next } = error
  return new DoorwardError(code, message, {
    ...(where === undefined ? {} : { where }),
    ...(expected === undefined ? {} : { expected }),
    ...(got === undefined ? {} : { got }),
    ...(next === undefined ? {} : { next }),
  })
}

/** The child's half: null when this process was not started by a supervisor. */
export interface SupervisorLink {
  send(message: ChildMessage): void
  onMessage(listener: (message: ParentMessage) => void): void
  /** Calls back when the supervisor is gone. */
  onGone(listener: () => void): void
}

export function supervisorLink(): SupervisorLink | null {
  if (process.send === undefined) return null
  return {
    send: (message) => {
      if (process.connected) process.send?.(message)
    },
    onMessage: (listener) => {
      process.on('message', (raw) => {
        const parsed = parentMessage.safeParse(raw)
        if (parsed.success) listener(parsed.data)
      })
    },
    onGone: (listener) => void process.once('disconnect', listener),
  }
}

/** An error as the supervisor is told of it. */
export function failedMessage(error: unknown): ChildMessage {
  if (!(error instanceof DoorwardError)) {
    return {
      type: 'failed',
      error: { code: 'internal', message: error instanceof Error ? (error.stack ?? error.message) : String(error) },
    }
  }
  const { code, message, where, expected, got, next } = error
  return { type: 'failed', error: { code, message, where, expected, got, next } }
}
