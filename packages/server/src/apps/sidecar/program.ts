/** The way to the program behind a sidecar: a local place, and whose it must be. */

import { lstatSync } from 'node:fs'
import type { Stats } from 'node:fs'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import type { LocalPlace } from '../../config/sidecar-file.ts'
import type { ProgramConnection } from '../../transports/sidecar/program-call.ts'
import { closeDescriptor } from '../workload-api/peer-credentials.ts'
import type { PeerSource } from '../workload-api/peer-credentials.ts'
import { ProgramConnections } from './program-connections.ts'
import { listenerOwners } from './tcp-owners.ts'

export interface Program {
  /** A connection that nobody else uses, or why there is none: nothing has been sent. */
  connect(caller: Waiting): Promise<ProgramConnection | string>
  /** Closes those that are kept. */
  close(): void
}

/** Whoever waits for the answer: a response. */
export interface Waiting {
  readonly destroyed: boolean
  once(event: 'close', listener: () => void): unknown
  off(event: 'close', listener: () => void): unknown
}

const PATIENCE_MILLISECONDS = 5000

/**
 * Both the file and whoever listens belong to that user; a port has no file. That is asked when a connection is made, and holds for as
 * long as it lasts: the kernel keeps with a connection who had the socket when it was made (unix(7), SO_PEERCRED), and nobody can put
 * another process at its end but the one that has it. A program that is started again has another socket, and connections of its own.
 */
export function programAt(place: LocalPlace, uid: number, peers: PeerSource | null): Program {
  const kept = new ProgramConnections()
  const rules = { uid, peers, kept }
  return {
    connect: (caller) =>
      'socket' in place ? atSocket(place.socket, { ...rules, caller }) : atPort(place.port, { ...rules, caller }),
    close: () => kept.close(),
  }
}

interface Rules {
  readonly uid: number
  readonly peers: PeerSource | null
  readonly kept: ProgramConnections
  readonly caller: Waiting
}

async function atSocket(path: string, { uid, peers, kept, caller }: Rules): Promise<ProgramConnection | string> {
  const file = fileAt(path)
  if (file === null) return `there is no socket ${path}`
  if (!file.isSocket()) return `${path} is no socket`
  if (file.uid !== uid) return `${path} belongs to uid ${file.uid}, expected ${uid}`
  const place = `${file.dev}:${file.ino}:${file.ctimeMs}`
  const known = kept.take(place)
  if (known !== null) return known
  const socket = await connected({ path }, caller)
  if (typeof socket === 'string') return socket
  const wrong = await judged(socket, async () => {
    const credentials = peers?.of(socket) ?? null
    if (credentials !== null && credentials.pidfd !== null) closeDescriptor(credentials.pidfd)
    if (credentials?.uid === uid) return null
    return `whoever listens at ${path} is uid ${credentials?.uid ?? 'unknown'}, expected ${uid}`
  })
  return wrong ?? kept.made(socket, place)
}

/** At once: to wake another thread for it costs more than the look. */
function fileAt(path: string): Stats | null {
  try {
    return lstatSync(path)
  } catch {
    return null
  }
}

/** Neither what is wrong with it nor what fails while it is looked at leaves the connection behind. */
async function judged(socket: Socket, problem: () => Promise<string | null>): Promise<string | null> {
  let kept = false
  try {
    const wrong = await problem()
    kept = wrong === null
    return wrong
  } finally {
    if (!kept) socket.destroy()
  }
}

/** Before, because whoever listens there hears of the connection; after, because somebody else could have come to listen. */
async function atPort(port: number, { uid, kept, caller }: Rules): Promise<ProgramConnection | string> {
  const known = kept.take('')
  if (known !== null) return known
  const before = await portProblem(port, uid)
  if (before !== null) return before
  const socket = await connected({ host: '127.0.0.1', port }, caller)
  if (typeof socket === 'string') return socket
  return (await judged(socket, () => portProblem(port, uid))) ?? kept.made(socket, '')
}

async function portProblem(port: number, uid: number): Promise<string | null> {
  const owners = await listenerOwners(port)
  if (owners.size === 0) return `nobody listens at port ${port}`
  const others = [...owners].filter((owner) => owner !== uid)
  return others.length === 0 ? null : `uid ${others.join(', ')} listens at port ${port}, expected ${uid} alone`
}

function connected(
  place: { readonly path: string } | { readonly host: string; readonly port: number },
  caller: Waiting,
): Promise<Socket | string> {
  return new Promise((resolve) => {
    const socket = connect(place)
    const give = (answer: Socket | string) => {
      clearTimeout(timer)
      caller.off('close', gone)
      if (typeof answer === 'string') socket.destroy()
      resolve(answer)
    }
    const gone = () => give('the caller has gone')
    const timer = setTimeout(() => give('no connection in time'), PATIENCE_MILLISECONDS).unref()
    caller.once('close', gone)
    socket.on('error', (error: NodeJS.ErrnoException) => give(`no connection: ${error.code ?? 'unknown'}`))
    socket.once('connect', () => give(socket))
    if (caller.destroyed) gone()
  })
}
