/**
 * Who is at the other end of a Unix socket, as the kernel kept it when the connection was made (reference id BS-6). Node.js has no
 * way to ask, so a library of C functions is asked, which the operator installs: without it there is no answer, and nobody is served.
 */

import { closeSync, readFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { DoorwardError } from '@doorward/core'

export interface PeerCredentials {
  readonly pid: number
  readonly uid: number
  readonly gid: number
  /** An open descriptor that stands for the process itself, however its number is used again; null before Linux 6.5. */
  readonly pidfd: number | null
}

export interface PeerSource {
  /**
   * Null when the connection or its process is gone, or the peer is in another process namespace. Throws `peer_unknown` when the kernel
   * does not say for another reason, such as too many open descriptors: then nobody is served, rather than known less well.
   */
  of(socket: Socket): PeerCredentials | null
}

const LIBRARY = 'koffi'
const VERSION = '3.3.4'
const SOL_SOCKET = 1
const SO_PEERCRED = 17
const SO_PEERPIDFD = 77
const CREDENTIAL_BYTES = 12
const DESCRIPTOR_BYTES = 4
/** `ENOPROTOOPT`: the kernel has no such option. */
const NO_SUCH_OPTION = 92
/** `ESRCH`, `EBADF`, `EINVAL`, `ENODATA`: of a process or connection that is gone. */
const GONE: ReadonlySet<number> = new Set([3, 9, 22, 61])

/** `getsockopt(2)`. */
type GetSocketOption = (
  ...given: [fd: number, level: number, name: number, value: Uint8Array, length: [number]]
) => number

interface Library {
  load(path: null): { func(prototype: string): GetSocketOption }
  /** Of the call before. */
  errno(): number
}

interface Kernel {
  readonly getsockopt: GetSocketOption
  readonly errno: () => number
}

/** Throws `peer_credentials_missing` where the library is not installed, or the platform is not Linux. */
export async function systemPeers(platform: string = process.platform, name: string = LIBRARY): Promise<PeerSource> {
  const kernel = platform === 'linux' ? await loadedFrom(name) : null
  if (kernel === null)
    throw new DoorwardError('peer_credentials_missing', 'nothing here tells which program connects to a socket', {
      expected: `Linux, and the package ${LIBRARY} beside doorward`,
      got: platform === 'linux' ? `no package ${LIBRARY}` : platform,
      next: `npm install --ignore-scripts ${LIBRARY}@${VERSION}`,
    })
  return { of: (socket) => credentialsOf(socket, kernel) }
}

async function loadedFrom(name: string): Promise<Kernel | null> {
  try {
    const { default: library } = (await import(name)) as { readonly default: Library }
    const getsockopt = library
      .load(null)
      .func('int getsockopt(int fd, int level, int name, _Out_ uint8_t *value, _Inout_ uint32_t *length)')
    return { getsockopt, errno: () => library.errno() }
  } catch {
    return null
  }
}

function credentialsOf(socket: Socket, kernel: Kernel): PeerCredentials | null {
  const fd = descriptorOf(socket)
  if (fd === null) return null
  const bytes = option(kernel, { fd, name: SO_PEERCRED, length: CREDENTIAL_BYTES })
  if (typeof bytes === 'number') return unknownPeer('SO_PEERCRED', bytes)
  const view = new DataView(bytes.buffer)
  const [pid, uid, gid] = [view.getInt32(0, true), view.getUint32(4, true), view.getUint32(8, true)]
  // Process 0 is one that this namespace does not see.
  if (pid <= 0) return null
  const held = option(kernel, { fd, name: SO_PEERPIDFD, length: DESCRIPTOR_BYTES })
  if (typeof held !== 'number') return { pid, uid, gid, pidfd: new DataView(held.buffer).getInt32(0, true) }
  return held === NO_SUCH_OPTION ? { pid, uid, gid, pidfd: null } : unknownPeer('SO_PEERPIDFD', held)
}

function unknownPeer(where: string, errno: number): null {
  if (GONE.has(errno)) return null
  throw new DoorwardError('peer_unknown', 'the kernel did not say which program connected: it is not served', {
    where,
    got: `errno ${errno}`,
  })
}

/** The value, or why there is none. */
function option(
  { getsockopt, errno }: Kernel,
  { fd, name, length }: { readonly fd: number; readonly name: number; readonly length: number },
): Uint8Array | number {
  const value = new Uint8Array(length)
  const size: [number] = [length]
  if (getsockopt(fd, SOL_SOCKET, name, value, size) !== 0) return errno()
  // Another length is of something else than was asked for.
  return size[0] === length ? value : 0
}

/** The handle is Node's own affair; a test says whether it still has this member. */
function descriptorOf(socket: Socket): number | null {
  const handle: unknown = Reflect.get(socket, '_handle')
  const fd: unknown = typeof handle === 'object' && handle !== null ? Reflect.get(handle, 'fd') : null
  return typeof fd === 'number' && fd >= 0 ? fd : null
}

/** Whether the descriptor still stands for a living process of this number (proc(5), `/proc/PID/fdinfo`). */
export function standsFor(pidfd: number, pid: number): boolean {
  try {
    const text = readFileSync(`/proc/self/fdinfo/${pidfd}`, 'latin1')
    return new RegExp(`^Pid:\\s+${pid}$`, 'm').test(text)
  } catch {
    return false
  }
}

export function closeDescriptor(pidfd: number): void {
  closeSync(pidfd)
}
