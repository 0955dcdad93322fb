/** The way to the program behind a sidecar: a local place, and whose it must be. */

import { lstatSync } from 'node:fs'
import type { Stats } from 'node:fs'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import type { LocalPlace } from '../../config/sidecar-file.ts'
import { closeDescriptor } from '../workload-api/peer-credentials.ts'
import type { PeerSource } from '../workload-api/peer-credentials.ts'
import { listenerOwners } from './tcp-owners.ts'

export interface Program {
  /** A connection to it, or why there is none: nothing has been sent. */
  connect(signal: AbortSignal): Promise<Socket | string>
}

const PATIENCE_MILLISECONDS = 5000

/** Both the file and whoever listens belong to that user; a port has no file. */
export function programAt(place: LocalPlace, uid: number, peers: PeerSource | null): Program {
  return 'socket' in place
    ? { connect: (signal) => atSocket(place.socket, { uid, peers, signal }) }
    : { connect: (signal) => atPort(place.port, { uid, signal }) }
}

interface SocketRules {
  readonly uid: number
  readonly peers: PeerSource | null
  readonly signal: AbortSignal
}

async function atSocket(path: string, { uid, peers, signal }: SocketRules): Promise<Socket | string> {
  const file = fileAt(path)
  if (file === null) return `there is no socket ${path}`
  if (!file.isSocket()) return `${path} is no socket`
  if (file.uid !== uid) return `${path} belongs to uid ${file.uid}, expected ${uid}`
  const socket = await connected({ path }, signal)
  if (typeof socket === 'string') return socket
  return judged(socket, async () => {
    const credentials = peers?.of(socket) ?? null
    if (credentials !== null && credentials.pidfd !== null) closeDescriptor(credentials.pidfd)
    if (credentials?.uid === uid) return null
    return `whoever listens at ${path} is uid ${credentials?.uid ?? 'unknown'}, expected ${uid}`
  })
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
async function judged(socket: Socket, problem: () => Promise<string | null>): Promise<Socket | string> {
  let kept = false
  try {
    const wrong = await problem()
    kept = wrong === null
    return wrong ?? socket
  } finally {
    if (!kept) socket.destroy()
  }
}

/** Before, because whoever listens there hears of the connection; after, because somebody else could have come to listen. */
async function atPort(
  port: number,
  { uid, signal }: { readonly uid: number; readonly signal: AbortSignal },
): Promise<Socket | string> {
  const before = await portProblem(port, uid)
  if (before !== null) return before
  const socket = await connected({ host: '127.0.0.1', port }, signal)
  if (typeof socket === 'string') return socket
  return judged(socket, () => portProblem(port, uid))
}

async function portProblem(port: number, uid: number): Promise<string | null> {
  const owners = await listenerOwners(port)
  if (owners.size === 0) return `nobody listens at port ${port}`
  const others = [...owners].filter((owner) => owner !== uid)
  return others.length === 0 ? null : `uid ${others.join(', ')} listens at port ${port}, expected ${uid} alone`
}

function connected(
  place: { readonly path: string } | { readonly host: string; readonly port: number },
  signal: AbortSignal,
): Promise<Socket | string> {
  return new Promise((resolve) => {
    const socket = connect(place)
    const give = (answer: Socket | string) => {
      clearTimeout(timer)
      signal.removeEventListener('abort', aborted)
      if (typeof answer === 'string') socket.destroy()
      resolve(answer)
    }
    const aborted = () => give('the caller has gone')
    const timer = setTimeout(() => give('no connection in time'), PATIENCE_MILLISECONDS).unref()
    signal.addEventListener('abort', aborted, { once: true })
    socket.on('error', (error: NodeJS.ErrnoException) => give(`no connection: ${error.code ?? 'unknown'}`))
    socket.once('connect', () => give(socket))
    if (signal.aborted) aborted()
  })
}
