/** CPU time and memory of another process, as the kernel counts them. */

import { existsSync, readdirSync, readFileSync } from 'node:fs'

/** Of /proc: USER_HZ is 100 on every architecture that Linux still has. */
const TICKS_PER_SECOND = 100

/** Whether this system tells the CPU time of other processes. */
export const cpuIsKnown = existsSync('/proc/self/stat')

/**
 * Microseconds of user and system time of all threads so far; 0 where the system does not tell. As the scheduler counts them,
 * to the nanosecond, where it does: threads that have ended are left out then.
 */
export function cpuMicroseconds(pid: number): number {
  if (!cpuIsKnown) return 0
  const scheduled = scheduledMicroseconds(pid)
  if (scheduled !== null) return scheduled
  const [own = 0, system = 0] = fieldsOf(pid).slice(11)
  return ((own + system) / TICKS_PER_SECOND) * 1e6
}

function scheduledMicroseconds(pid: number): number | null {
  try {
    const nanoseconds = readdirSync(`/proc/${pid}/task`).map((thread) => {
      const [onCpu] = readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')
      return Number(onCpu)
    })
    return nanoseconds.reduce((sum, one) => sum + one, 0) / 1000
  } catch {
    return null
  }
}

/** The same for a process and all that descend from it, those included that have ended. */
export function treeCpuMicroseconds(root: number): number {
  if (!cpuIsKnown) return 0
  const processes = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const fields = fieldsOf(Number(name))
        return [
          { pid: Number(name), parent: fields[1], ticks: fields.slice(11, 15).reduce((sum, one) => sum + one, 0) },
        ]
      } catch {
        // It has ended meanwhile, and its parent has its time.
        return []
      }
    })
  const tree = new Set([root])
  for (let size = 0; size < tree.size;) {
    size = tree.size
    for (const { pid, parent } of processes) if (parent !== undefined && tree.has(parent)) tree.add(pid)
  }
  const ticks = processes.filter(({ pid }) => tree.has(pid)).reduce((sum, one) => sum + one.ticks, 0)
  return (ticks / TICKS_PER_SECOND) * 1e6
}

/** Bytes of memory that a process has now; NaN where the system does not tell. */
export function residentBytes(pid: number): number {
  if (!cpuIsKnown) return Number.NaN
  const kibibytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  return Number(kibibytes) * 1024
}

/** The fields of `/proc/PID/stat` after the name, which stands in parentheses and may hold spaces. */
function fieldsOf(pid: number): readonly number[] {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
  return text
    .slice(text.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number)
}
