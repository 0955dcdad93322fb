/** One process per state folder. */

import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { DoorwardError } from '@doorward/core'

export interface InstanceLock {
  release(): void
}

export const lockName = 'lock'

/**
 * Takes the folder for this process until it ends, however it ends: the lock is the operating system's, held through
 * an open SQLite transaction, so that no stale lock file is left behind. Throws `state_in_use`.
 */
export function lockFolder(folder: string): InstanceLock {
  const path = join(folder, lockName)
  makePrivate(path)
  const database = new DatabaseSync(path, { timeout: 0 })
  try {
    database.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE')
  } catch {
    database.close()
    throw new DoorwardError('state_in_use', 'another process uses this state folder', {
      where: folder,
      next: 'stop the other process, or name another state folder',
    })
  }
  return {
    release: () => {
      if (database.isOpen) database.close()
    },
  }
}

/** One that exists is not opened: closing any descriptor of a file lets go of every lock that this process has on it. */
function makePrivate(path: string): void {
  try {
    closeSync(openSync(path, 'ax', 0o600))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
}
