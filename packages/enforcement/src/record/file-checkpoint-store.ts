/** A checkpoint store in a folder: one file per log, replaced atomically under a lock. */

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { DoorwardError, utf8 } from '@doorward/core'
import type { CheckpointStore } from './checkpoint-store.ts'
import { fileDisk } from './file-disk.ts'
import { tryLock } from './writer-lock.ts'
import type { WriterLock } from './writer-lock.ts'

const LOCK_ATTEMPTS = 100
const LOCK_PAUSE_MILLISECONDS = 20

/**
 * Opens the store of the log `origin` in `folder`, which must not be the log's own folder and should share neither
 * its disk nor its backups. Rejects with `checkpoint_store_busy` when the lock cannot be had within 2 s.
 */
export function fileCheckpointStore(folder: string, origin: string): CheckpointStore {
  const path = join(folder, `${encodeURIComponent(origin)}.checkpoint`)
  return {
    async compareAndSwap(expected, next) {
      const lock = await waitForLock(`${path}.lock`)
      try {
        if ((await readNote(path)) !== expected) return false
        await fileDisk.replace([{ path, bytes: utf8(next) }], 'durable')
        return true
      } finally {
        lock.release()
      }
    },
    newest: () => readNote(path),
  }
}

async function waitForLock(path: string): Promise<WriterLock> {
  for (let attempt = 0; attempt < LOCK_ATTEMPTS; attempt++) {
    const lock = tryLock(path)
    if (lock !== null) return lock
    await sleep(LOCK_PAUSE_MILLISECONDS)
  }
  throw new DoorwardError('checkpoint_store_busy', 'another process keeps the second copy locked', { where: path })
}

async function readNote(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}
