/**
 * Listens on a Unix socket for whoever can reach it. The socket lies where nobody else can put another in its place, and each
 * connection is handed on before a byte of it is read.
 */

import { chmod, lstat, realpath, rm } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import type { Socket } from 'node:net'
import { basename, dirname, join } from 'node:path'
import { DoorwardError } from '@doorward/core'

/** What fits into the address of a socket on every system. */
const MOST_PATH_BYTES = 103
const OTHERS_WRITE = 0o022
const STICKY = 0o1000
const EVERYBODY = 0o777

export interface OpenSocket {
  readonly path: string
  /** At once; more are closed unheard. */
  readonly connections: number
  readonly accept: (socket: Socket) => void
  readonly onProblem: (error: unknown) => void
}

export interface ListeningSocket {
  readonly path: string
  /** Takes no more connections and removes the socket; those that are open are their owner's. */
  close(): Promise<void>
}

/**
 * A socket that nobody answers at is replaced. Throws `local_path_long`, `local_path_taken` for anything but an own socket that is
 * left over, `local_folder_open` when somebody else could put another socket there, `local_socket_failed`.
 */
export async function listenForAll({
  path: asked,
  connections,
  accept,
  onProblem,
}: OpenSocket): Promise<ListeningSocket> {
  checkLength(asked)
  const path = await safePlace(asked)
  await makeRoom(path)
  const server = createServer(accept)
  server.maxConnections = connections
  await new Promise<void>((resolve, reject) => {
    const failed = (error: Error) =>
      reject(new DoorwardError('local_socket_failed', 'the local socket failed', { where: path, got: error.message }))
    server.once('error', failed)
    server.listen({ path }, () => {
      server.off('error', failed)
      resolve()
    })
  })
  server.on('error', onProblem)
  // Who a caller is says the kernel; a folder that is closed to others keeps them away altogether.
  await chmod(path, EVERYBODY)
  return { path, close: () => new Promise((resolve) => server.close(() => resolve())) }
}

function checkLength(path: string): void {
  const bytes = Buffer.byteLength(path)
  if (bytes <= MOST_PATH_BYTES) return
  throw new DoorwardError('local_path_long', 'the path is too long for a socket', {
    where: path,
    expected: `at most ${MOST_PATH_BYTES} bytes`,
    got: `${bytes}`,
  })
}

/** The path, without links, of what nobody else can replace. Throws `local_folder_open`. */
export async function safePlace(asked: string): Promise<string> {
  const folder = await realpath(dirname(asked)).catch(() => null)
  if (folder === null)
    throw new DoorwardError('local_folder_open', `there is no folder for ${basename(asked)}`, {
      where: dirname(asked),
      next: `make one that belongs to this user: install -d -m 0755 ${dirname(asked)}`,
    })
  await checkFolder(folder, true)
  return join(folder, basename(asked))
}

/** The folder is ours, every one above it ours or root's, and nobody else may write to any, unless it is one of those above and sticky. */
async function checkFolder(path: string, own: boolean): Promise<void> {
  const { uid, mode } = await lstat(path)
  const self = process.getuid?.() ?? uid
  const open = (expected: string, got: string) =>
    new DoorwardError('local_folder_open', 'somebody else could put something else in the place of this', {
      where: path,
      expected,
      got,
      next: 'name a folder that belongs to this user and that nobody else may write to',
    })
  if (uid !== self && (own || uid !== 0)) throw open(`a folder of uid ${self}`, `uid ${uid}`)
  const sticky = !own && (mode & STICKY) !== 0
  if ((mode & OTHERS_WRITE) !== 0 && !sticky)
    throw open('a folder that others may not write to', `mode ${(mode & 0o7777).toString(8).padStart(4, '0')}`)
  if (dirname(path) !== path) await checkFolder(dirname(path), false)
}

async function makeRoom(path: string): Promise<void> {
  const there = await lstat(path).catch(() => null)
  if (there === null) return
  const self = process.getuid?.() ?? there.uid
  const got = !there.isSocket()
    ? 'something that is no socket'
    : there.uid !== self
      ? `a socket of uid ${there.uid}`
      : (await answers(path))
        ? 'a socket at which somebody listens'
        : null
  if (got !== null)
    throw new DoorwardError('local_path_taken', 'something lies where the socket belongs', {
      where: path,
      expected: 'nothing, or a socket of this user that an earlier process has left behind',
      got,
    })
  await rm(path, { force: true })
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ path })
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
