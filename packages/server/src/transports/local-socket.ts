/**
 * One question and one answer, each one line, over a Unix socket on this machine. Who may ask is whoever may open the socket:
 * its mode is 0600, and the folder that it lies in must be its owner's alone. What is asked and answered is for others to read.
 */

import { chmod, lstat, rm } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import type { Server, Socket } from 'node:net'
import { DoorwardError } from '@doorward/core'

export interface LocalLimits {
  readonly requestBytes: number
  readonly answerBytes: number
  /** At once; more are closed unheard. */
  readonly connections: number
  /** From the connection to the end of the question. */
  readonly requestMilliseconds: number
  /** From the question to the end of the answer, with whatever it takes to find it. */
  readonly answerMilliseconds: number
}

export const localLimits: LocalLimits = {
  requestBytes: 4096,
  answerBytes: 16_384,
  connections: 4,
  requestMilliseconds: 5000,
  answerMilliseconds: 30_000,
}

/** What fits into the address of a socket on every system. */
const MOST_PATH_BYTES = 103
const LINE_END = 0x0a

export interface LocalListener {
  readonly path: string
  /** The line of a question, without its end, to the line of its answer. A rejection closes the connection without one. */
  readonly answer: (question: Uint8Array) => Promise<string>
  readonly onProblem: (error: unknown) => void
  readonly limits?: Partial<LocalLimits>
}

export interface LocalSocket {
  /** Takes no more questions, cuts those that are open, and removes the socket. */
  close(): Promise<void>
}

/**
 * Listens. A socket that a process has left behind is replaced: whoever calls has made sure that no other one runs. Throws
 * `local_path_long`, `local_path_taken`, `local_socket_failed`.
 */
export async function listenLocally(listener: LocalListener): Promise<LocalSocket> {
  const { path, onProblem } = listener
  await makeRoom(path)
  const limits = { ...localLimits, ...listener.limits }
  const open = new Set<Socket>()
  const server = createServer((socket) => {
    open.add(socket)
    socket.once('close', () => open.delete(socket))
    serve(socket, { ...listener, limits })
  })
  server.maxConnections = limits.connections
  await bound(server, path)
  server.on('error', onProblem)
  await chmod(path, 0o600)
  return {
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      for (const socket of open) socket.destroy()
      await closed
    },
  }
}

async function makeRoom(path: string): Promise<void> {
  const bytes = Buffer.byteLength(path)
  if (bytes > MOST_PATH_BYTES)
    throw new DoorwardError('local_path_long', 'the path is too long for a socket', {
      where: path,
      expected: `at most ${MOST_PATH_BYTES} bytes`,
      got: `${bytes}`,
      next: 'name a shorter state folder',
    })
  const there = await lstat(path).catch(() => null)
  if (there?.isSocket() === false)
    throw new DoorwardError('local_path_taken', 'something lies where the socket belongs', {
      where: path,
      next: 'move it away; nothing has been changed',
    })
  await rm(path, { force: true })
}

/** Nobody else can reach the socket before its mode is set, because of the folder that it lies in. */
function bound(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const failed = (error: Error) => reject(socketFailed(path, error))
    server.once('error', failed)
    server.listen({ path }, () => {
      server.off('error', failed)
      resolve()
    })
  })
}

function socketFailed(where: string, error: Error): DoorwardError {
  return new DoorwardError('local_socket_failed', 'the local socket failed', { where, got: error.message })
}

type Serving = Pick<LocalListener, 'answer' | 'onProblem'> & { readonly limits: LocalLimits }

/** Anything that is not exactly one line in time is cut off without a word. */
function serve(socket: Socket, { answer, onProblem, limits }: Serving): void {
  let timer = setTimeout(() => socket.destroy(), limits.requestMilliseconds)
  let question = Buffer.alloc(0)
  let asked = false
  socket.on('error', () => socket.destroy())
  socket.once('close', () => clearTimeout(timer))
  socket.on('data', (part: Buffer) => {
    if (asked || question.length + part.length > limits.requestBytes) return void socket.destroy()
    question = Buffer.concat([question, part])
    const end = question.indexOf(LINE_END)
    if (end < 0) return
    if (end < question.length - 1) return void socket.destroy()
    asked = true
    clearTimeout(timer)
    timer = setTimeout(() => socket.destroy(), limits.answerMilliseconds)
    answer(question.subarray(0, end)).then(
      (line) => socket.end(`${line}\n`),
      (error: unknown) => {
        socket.destroy()
        onProblem(error)
      },
    )
  })
}

/**
 * Asks, and resolves with the line of the answer. Throws `local_socket_absent` when nobody listens, `local_socket_closed` when
 * the connection ends without an answer, `local_socket_failed`.
 */
export function askLocally(
  path: string,
  question: string,
  { requestMilliseconds, answerMilliseconds, answerBytes }: LocalLimits = localLimits,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path })
    const timer = setTimeout(
      () => socket.destroy(new Error('no answer in time')),
      requestMilliseconds + answerMilliseconds,
    )
    let answer = Buffer.alloc(0)
    socket.once('connect', () => socket.write(`${question}\n`))
    socket.on('data', (part: Buffer) => {
      answer = Buffer.concat([answer, part])
      if (answer.length > answerBytes) socket.destroy(new Error('an answer that is too long'))
    })
    socket.once('error', (error: NodeJS.ErrnoException) => reject(askFailed(path, error)))
    socket.once('close', () => {
      clearTimeout(timer)
      if (answer.at(-1) === LINE_END) resolve(answer.subarray(0, -1).toString('utf8'))
      else
        reject(new DoorwardError('local_socket_closed', 'the connection was closed without an answer', { where: path }))
    })
  })
}

function askFailed(where: string, error: NodeJS.ErrnoException): DoorwardError {
  if (error.code !== 'ENOENT' && error.code !== 'ECONNREFUSED') return socketFailed(where, error)
  return new DoorwardError('local_socket_absent', 'nobody listens on the local socket', { where })
}
