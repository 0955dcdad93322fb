/** Small files that are either the old content or the new one, also after a crash. */

import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import type { BigIntStats } from 'node:fs'
import { mkdir, open, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { DoorwardError } from '@doorward/core'

/**
 * Replaces the file atomically: temporary file in the same folder, fsync, rename, fsync of the folder. Mode 0600.
 * A crash leaves the old content and at most one `.<name>.<random>.new` beside it, which nothing reads.
 * Returns the `fileVersion` that this content has.
 */
export async function writeDurably(path: string, bytes: Uint8Array): Promise<string> {
  const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}.new`)
  const file = await open(temporary, 'wx', 0o600)
  let version: string
  try {
    await file.writeFile(bytes)
    await file.sync()
    version = versionOf(await file.stat({ bigint: true }))
  } finally {
    await file.close()
  }
  try {
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
  await syncFolder(dirname(path))
  return version
}

async function syncFolder(path: string): Promise<void> {
  // Windows has no handle of a folder to sync; there the rename itself is the durable step.
  if (process.platform === 'win32') return
  const folder = await open(path, constants.O_RDONLY)
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

/** The content of at most `maxBytes`, or null when there is no such file. Throws `file_too_large` or `file_unreadable`. */
export async function readBounded(path: string, maxBytes: number): Promise<Uint8Array | null> {
  try {
    const file = await open(path, constants.O_RDONLY)
    try {
      const { size } = await file.stat()
      if (size > maxBytes) {
        throw new DoorwardError('file_too_large', 'the file is larger than anything that belongs there', {
          where: path,
          expected: `at most ${maxBytes} bytes`,
          got: `${size} bytes`,
        })
      }
      return await file.readFile()
    } finally {
      await file.close()
    }
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return null
    if (error instanceof DoorwardError) throw error
    throw new DoorwardError('file_unreadable', 'the file cannot be read', {
      where: path,
      got: String(error),
      cause: error,
    })
  }
}

/** Makes the folder with mode 0700. Throws `folder_not_private` when it exists and others may enter it. */
export async function privateFolder(path: string): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o700 })
  if (process.platform === 'win32') return
  const { mode, uid } = await stat(path)
  const own = uid === process.getuid?.()
  if ((mode & 0o077) === 0 && own) return
  throw new DoorwardError('folder_not_private', 'the folder of an identity must belong to its user alone', {
    where: path,
    expected: 'mode 0700, owned by this user',
    got: `mode 0${(mode & 0o777).toString(8)}${own ? '' : `, owned by uid ${uid}`}`,
    next: `chmod 700 ${path}`,
  })
}

/** A text that changes whenever the file is replaced, or null when it is absent. */
export async function fileVersion(path: string): Promise<string | null> {
  try {
    return versionOf(await stat(path, { bigint: true }))
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return null
    throw error
  }
}

export function isErrno(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}

function versionOf({ ino, mtimeNs, size }: BigIntStats): string {
  return `${ino}.${mtimeNs}.${size}`
}
