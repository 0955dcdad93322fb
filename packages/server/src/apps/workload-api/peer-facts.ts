/**
 * What the kernel says of a running process: user, program, control group. Read from `/proc`, between two looks at whether the
 * process is still the one that connected. A fact that cannot be read is null, and no selector matches that.
 *
 * Read at once rather than by other threads: the kernel answers these from memory, and to wake a thread costs many times as much.
 */

import { readFileSync, readlinkSync, statSync } from 'node:fs'
import type { BigIntStats } from 'node:fs'
import { stat } from 'node:fs/promises'
import { closeDescriptor, standsFor } from './peer-credentials.ts'
import type { PeerCredentials } from './peer-credentials.ts'
import { ProgramDigests, sameFile } from './program-digests.ts'

export interface PeerFacts {
  readonly pid: number
  readonly uid: number
  readonly gid: number
  /** Path of the program as the process sees it: for people. */
  readonly program: string | null
  /** Whether the program is the very file that this path leads to here: in a mount namespace of its own a process can call any file anything. */
  isProgram(path: string): Promise<boolean>
  /** SHA-256 of the program as it runs, lowercase hex; null when it is not readable or too large. Throws as `ProgramDigests.of`. */
  digest(): Promise<string | null>
  /** Path in the hierarchy of cgroup v2. */
  readonly cgroup: string | null
  /** Unit of the system's service manager. */
  readonly unit: string | null
}

export interface PeerPlaces {
  readonly proc: string
  readonly standsFor: typeof standsFor
}

export const systemPlaces: PeerPlaces = { proc: '/proc', standsFor }

/** For all connections: what one of them has read counts for the others. */
const digests = new ProgramDigests()

/** One peer, from its connection to the end of that. */
export class Peer {
  readonly credentials: PeerCredentials
  readonly #places: PeerPlaces
  readonly #started: string | null
  /** The program that connected; null where it cannot be seen. */
  readonly #program: BigIntStats | null
  #closed = false

  /** Right after the connection was accepted: what runs under this number from now on is compared with what runs now. */
  constructor(credentials: PeerCredentials, places: PeerPlaces = systemPlaces) {
    this.credentials = credentials
    this.#places = places
    this.#program = programAt(this.#home)
    this.#started = startOf(places, credentials.pid)
  }

  get #home(): string {
    return `${this.#places.proc}/${this.credentials.pid}`
  }

  /**
   * Facts as of now, or why there are none: a process that is gone, has another user or program by now, or is another one. With
   * `names` false neither path nor control group are read, for whoever goes by the rest.
   */
  async facts({ names = true }: { readonly names?: boolean } = {}): Promise<PeerFacts | string> {
    const { pid, uid, gid } = this.credentials
    const home = this.#home
    const file = this.#program
    const owner = ownerOf(home)
    const program = names ? this.program() : null
    const cgroup = names ? cgroupOf(home) : null
    const runsTheSame = this.#runsTheSame()
    // The last of all: whoever lives now had this number all the time that it was looked at.
    if (!this.#lives()) return 'the process that connected is gone'
    if (!runsTheSame) return 'the process has become another program than when it connected'
    if (owner?.uid !== uid || owner.gid !== gid) return 'the process has another user than when it connected'
    return {
      pid,
      uid,
      gid,
      program,
      isProgram: async (path) => file !== null && sameFile(file, await stat(path, { bigint: true }).catch(() => null)),
      digest: async () => {
        const digest = file === null ? null : await digests.of({ path: `${home}/exe`, file, uid })
        return this.isSame() ? digest : null
      },
      cgroup,
      unit: unitOf(cgroup),
    }
  }

  /** For people. */
  program(): string | null {
    return read(() => readlinkSync(`${this.#home}/exe`))
  }

  close(): void {
    const { pidfd } = this.credentials
    if (!this.#closed && pidfd !== null) closeDescriptor(pidfd)
    this.#closed = true
  }

  /** Whether it is still the process that connected, and runs what it ran then. */
  isSame(): boolean {
    return this.#lives() && this.#runsTheSame()
  }

  /** Neither number, descriptor nor start time change when a process becomes another program (execve(2)). */
  #runsTheSame(): boolean {
    const now = programAt(this.#home)
    return this.#program === null ? now === null : sameFile(this.#program, now)
  }

  #lives(): boolean {
    const { pid, pidfd } = this.credentials
    if (this.#closed) return false
    if (pidfd !== null) return this.#places.standsFor(pidfd, pid)
    return this.#started !== null && this.#started === startOf(this.#places, pid)
  }
}

function programAt(home: string): BigIntStats | null {
  return read(() => statSync(`${home}/exe`, { bigint: true }))
}

function read<T>(what: () => T): T | null {
  try {
    return what()
  } catch {
    return null
  }
}

function textAt(path: string): string | null {
  return read(() => readFileSync(path, 'latin1'))
}

/** Start time in clock ticks since boot: field 22 of `/proc/PID/stat` (proc(5)). */
function startOf({ proc }: PeerPlaces, pid: number): string | null {
  const text = textAt(`${proc}/${pid}/stat`)
  return text?.slice(text.lastIndexOf(')') + 2).split(' ')[19] ?? null
}

/** The effective user and group, which are those that the kernel keeps with a connection. */
function ownerOf(home: string): { readonly uid: number; readonly gid: number } | null {
  const text = textAt(`${home}/status`) ?? ''
  const [uid, gid] = ['Uid', 'Gid'].map((name) => new RegExp(`^${name}:\\s+\\d+\\s+(\\d+)\\s`, 'm').exec(text)?.[1])
  return uid === undefined || gid === undefined ? null : { uid: Number(uid), gid: Number(gid) }
}

function cgroupOf(home: string): string | null {
  const text = read(() => readFileSync(`${home}/cgroup`, 'utf8')) ?? ''
  return /^0::(\/.*)$/m.exec(text)?.[1] ?? null
}

/**
 * The outermost unit: what lies below a unit is named by whoever runs in it, and only the system's manager names the outermost one.
 */
export function unitOf(cgroup: string | null): string | null {
  const parts = (cgroup ?? '').split('/').filter((part) => part !== '')
  const unit = parts.find((part) => !part.endsWith('.slice'))
  return unit !== undefined && /\.(?:service|scope|socket|mount)$/.test(unit) ? unit : null
}
