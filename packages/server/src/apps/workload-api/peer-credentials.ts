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
  /** Null when the kernel does not say, or says that the peer is in another process namespace. */
  of(socket: Socket): PeerCredentials | null
}

const LIBRARY = 'koffi'
const VERSION = '3.3.4'
const SOL_SOCKET = 1
const SO_PEERCRED = 17
const SO_PEERPIDFD = 77
const CREDENTIAL_BYTES = 12
const DESCRIPTOR_BYTES = 4

/** `getsockopt(2)`. */
type GetSocketOption = (
  ...given: [fd: number, level: number, name: number, value: Uint8Array, length: [number]]
) => number

interface Library {
  load(path: null): { func(prototype: string): GetSocketOption }
}

/** Throws `peer_credentials_missing` where the library is not installed, or the platform is not Linux. */
export async function systemPeers(platform: string = process.platform, name: string = LIBRARY): Promise<PeerSource> {
  const getsockopt = platform === 'linux' ? await loadedFrom(name) : null
  if (getsockopt === null)
    throw new DoorwardError('peer_credentials_missing', 'nothing here tells which program connects to a socket', {
      expected: `Linux, and the package ${LIBRARY} beside doorward`,
      got: platform === 'linux' ? `no package ${LIBRARY}` : platform,
      next: `npm install --ignore-scripts ${LIBRARY}@${VERSION}`,
    })
  return { of: (socket) => credentialsOf(socket, getsockopt) }
}

async function loadedFrom(name: string): Promise<GetSocketOption | null> {
  try {
    const { default: library } = (await import(name)) as { readonly default: Library }
    return library
      .load(null)
      .func('int getsockopt(int fd, int level, int name, _Out_ uint8_t *value, _Inout_ uint32_t *length)')
  } catch {
    return null
  }
}

function credentialsOf(socket: Socket, getsockopt: GetSocketOption): PeerCredentials | null {
  const fd = descriptorOf(socket)
  const bytes = fd === null ? null : option(getsockopt, { fd, name: SO_PEERCRED, length: CREDENTIAL_BYTES })
  if (fd === null || bytes === null) return null
  const view = new DataView(bytes.buffer)
  const [pid, uid, gid] = [view.getInt32(0, true), view.getUint32(4, true), view.getUint32(8, true)]
  // Process 0 is one that this namespace does not see.
  if (pid <= 0) return null
  const held = option(getsockopt, { fd, name: SO_PEERPIDFD, length: DESCRIPTOR_BYTES })
  return { pid, uid, gid, pidfd: held === null ? null : new DataView(held.buffer).getInt32(0, true) }
}

function option(
  getsockopt: GetSocketOption,
  { fd, name, length }: { readonly fd: number; readonly name: number; readonly length: number },
): Uint8Array | null {
  const value = new Uint8Array(length)
  const size: [number] = [length]
  return getsockopt(fd, SOL_SOCKET, name, value, size) === 0 && size[0] === length ? value : null
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
