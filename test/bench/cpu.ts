/** CPU time of another process, as the kernel counts it. */

import { existsSync, readFileSync } from 'node:fs'

/** Of /proc: USER_HZ is 100 on every architecture that Linux still has. */
const TICKS_PER_SECOND = 100

/** Whether this system tells the CPU time of other processes. */
export const cpuIsKnown = existsSync('/proc/self/stat')

/** Microseconds of user and system time of all threads so far; 0 where the system does not tell. */
export function cpuMicroseconds(pid: number): number {
  if (!cpuIsKnown) return 0
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
  // The name in parentheses may hold spaces.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return ((Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND) * 1e6
}
