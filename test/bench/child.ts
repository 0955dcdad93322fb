/** Processes of the measurement: each in its own, so that its CPU time is its own. */

import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { openSync } from 'node:fs'
import { join } from 'node:path'
import type { Ready, Start } from './messages.ts'

const START_MILLISECONDS = 30_000

export interface BenchProcess {
  readonly pid: number
  readonly port: number
  /** All that it said when it was ready. */
  readonly ready: Ready
  send(message: object): void
  /** The next message of the process; rejects when it ends instead. */
  next<Message>(): Promise<Message>
  close(): Promise<void>
}

export interface ProcessOptions {
  /** Options of Node.js, beside those that every process gets. */
  readonly nodeOptions?: readonly string[]
  /** Where its standard output goes; the other end of nowhere by default. */
  readonly logFile?: string
}

/** Starts `<name>-process.ts` and waits until it is ready. */
export async function startProcess(start: Start, options: ProcessOptions = {}): Promise<BenchProcess> {
  const file = join(import.meta.dirname, `${start.process}-process.ts`)
  const child = fork(file, [], {
    execArgv: ['--conditions=source', ...(options.nodeOptions ?? [])],
    serialization: 'advanced',
    stdio: ['ignore', options.logFile === undefined ? 'ignore' : openSync(options.logFile, 'a'), 'inherit', 'ipc'],
  })
  const inbox = inboxOf(child, start.process)
  child.send(start)
  const timer = setTimeout(() => child.kill('SIGKILL'), START_MILLISECONDS)
  const ready = await inbox.next<Ready>()
  const { port } = ready
  clearTimeout(timer)
  return {
    pid: child.pid ?? 0,
    port,
    ready,
    send: (message) => void child.send(message),
    next: () => inbox.next(),
    async close() {
      inbox.expectEnd()
      if (child.exitCode !== null || child.signalCode !== null) return
      const closed = once(child, 'exit')
      child.disconnect()
      await closed
    },
  }
}

interface Inbox {
  next<Message>(): Promise<Message>
  expectEnd(): void
}

function inboxOf(child: ChildProcess, name: string): Inbox {
  const waiting: { resolve: (message: unknown) => void; reject: (error: Error) => void }[] = []
  const arrived: unknown[] = []
  let ended: Error | null = null
  child.on('message', (message) => {
    const first = waiting.shift()
    if (first === undefined) arrived.push(message)
    else first.resolve(message)
  })
  child.once('exit', (code, signal) => {
    ended = new Error(`the ${name} process ended with ${code ?? signal}`)
    for (const { reject } of waiting.splice(0)) reject(ended)
  })
  return {
    next: <Message>() =>
      new Promise<Message>((resolve, reject) => {
        if (arrived.length > 0) resolve(arrived.shift() as Message)
        else if (ended !== null) reject(ended)
        else waiting.push({ resolve: (message) => resolve(message as Message), reject })
      }),
    expectEnd: () => void (ended = new Error(`the ${name} process is closed`)),
  }
}

/** In the process: its first message, with the type that its file name promises. */
export async function started<Name extends Start['process']>(name: Name): Promise<Extract<Start, { process: Name }>> {
  const [start] = (await once(process, 'message')) as [Start]
  if (start.process !== name) throw new TypeError(`expected the start of ${name}, got ${start.process}`)
  process.once('disconnect', () => process.exit(0))
  return start as Extract<Start, { process: Name }>
}

/** In the process: a message to the one that started it. */
export function tell(message: object): void {
  process.send?.(message)
}
