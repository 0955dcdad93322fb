/** One writer per folder: a lock of the operating system, released by it when the process dies however it dies. */

import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { DoorwardError } from '@doorward/core'

export interface WriterLock {
  release(): void
}

const SQLITE_BUSY = 5

/**
 * Takes the lock at `path`, or returns null when another process or another holder in this one has it.
 * An exclusive transaction on an empty SQLite file: the only portable advisory lock that Node ships. A lock file
 * with a pid in it would need a guess about whether the pid is still the same process. Never waits.
 */
export function tryLock(path: string): WriterLock | null {
  if (!makePrivate(path)) {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    makePrivate(path)
  }
  const database = new DatabaseSync(path, { timeout: 0 })
  try {
    database.exec('BEGIN EXCLUSIVE')
  } catch (error) {
    database.close()
    if ((error as { errcode?: number }).errcode === SQLITE_BUSY) return null
    throw error
  }
  return { release: () => database.close() }
}

/**
 * SQLite would make the file readable to others. One that exists is not opened: closing any descriptor of a file lets
 * go of every lock that this process has on it (POSIX fcntl). False where its folder is missing.
 */
function makePrivate(path: string): boolean {
  try {
    closeSync(openSync(path, 'ax', 0o600))
    return true
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'EEXIST' && code !== 'ENOENT') throw error
    return code === 'EEXIST'
  }
}

/** Takes the writer's lock of a log. Throws `record_locked`, naming the process that has it. */
export function lockLog(path: string): WriterLock {
  const holder = `${path}.pid`
  const lock = tryLock(path)
  if (lock === null) {
    throw new DoorwardError('record_locked', 'another process writes this log', {
      where: path,
      got: `process ${readHolder(holder)}`,
      next: 'stop that process, or give this one a folder of its own',
    })
  }
  // Only for that message: the lock itself is the operating system's.
  writeFileSync(holder, `${process.pid}\n`, { mode: 0o600 })
  return lock
}

function readHolder(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch {
    return 'unknown'
  }
}
