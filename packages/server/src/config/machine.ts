/** Which machine this is, as far as it says so. */

import { readFileSync } from 'node:fs'
import { hostname, userInfo } from 'node:os'

const MACHINE_ID = '/etc/machine-id'

/** The operating system's machine id and the host name; the host name alone where there is no id. */
export function machineName(): string {
  try {
    return `${readFileSync(MACHINE_ID, 'utf8').trim()} ${hostname()}`
  } catch {
    return hostname()
  }
}

/** Who runs this program, as the operating system names him; for the record, where nobody had to prove anything. */
export function userName(): string {
  try {
    return userInfo().username
  } catch {
    return 'unknown'
  }
}

/** Files that this process may have open, which Node has raised as far as it may; null where the system does not say. */
export function descriptorLimit(): number | null {
  try {
    const soft = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1]
    return soft === undefined ? null : Number(soft)
  } catch {
    return null
  }
}
