/** Which process somebody is: a process id is reused, so boot and start time go with it. */

import { readFileSync } from 'node:fs'
import { uptime } from 'node:os'
import { isErrno } from './durable-file.ts'

export interface ProcessIdentity {
  readonly pid: number
  /** This boot of the machine. */
  readonly boot: string
  /** When the process started; empty where the platform does not tell. */
  readonly started: string
}

export interface ProcessProbe {
  self(): ProcessIdentity
  /** False only when that process is certainly gone. */
  isAlive(identity: ProcessIdentity): boolean
}

/** Reads `/proc` on Linux; elsewhere the boot is derived from the uptime and only the process id is compared. */
export function systemProcesses(): ProcessProbe {
  const boot = bootId()
  return {
    self: () => ({ pid: process.pid, boot, started: startOf(process.pid) ?? '' }),
    isAlive: (identity) => {
      if (!sameBoot(identity.boot, boot) || !signalReaches(identity.pid)) return false
      const started = startOf(identity.pid)
      return started === null || identity.started === '' || started === identity.started
    },
  }
}

function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
  } catch {
    return `up:${Math.round(Date.now() / 1000 - uptime())}`
  }
}

const DERIVED_TOLERANCE_SECONDS = 120

function sameBoot(a: string, b: string): boolean {
  if (a.startsWith('up:') && b.startsWith('up:')) {
    // A stepped wall clock moves the derived boot time a little.
    return Math.abs(Number(a.slice(3)) - Number(b.slice(3))) <= DERIVED_TOLERANCE_SECONDS
  }
  return a === b
}

function signalReaches(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return !isErrno(error, 'ESRCH')
  }
}

/** Start time in clock ticks since boot: field 22 of `/proc/<pid>/stat` (proc(5)); null where that is not to be had. */
function startOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null
  } catch {
    return null
  }
}
