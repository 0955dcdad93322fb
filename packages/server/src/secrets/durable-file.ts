/** Files that are whole or absent: written beside, forced to disk, renamed into place. */

import { constants } from 'node:fs'
import { lstat, mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { DoorwardError } from '@doorward/core'

/** Names that end so are remains of an interrupted write; they hold nothing that was ever acknowledged. */
export const partialSuffix = '.partial'

/**
 * Writes the file with mode 0600. When the promise resolves, content and name are durable; after a crash before
 * that, the old file (or none) stands, and perhaps a `.partial` beside it, which the next write replaces.
 */
export async function writeDurably(path: string, bytes: Uint8Array): Promise<void> {
  const partial = join(dirname(path), `.${basename(path)}${partialSuffix}`)
  await rm(partial, { force: true })
  const file = await open(
    partial,
    constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY | constants.O_NOFOLLOW,
    0o600,
  )
  try {
    await file.writeFile(bytes)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(partial, path)
  await syncFolder(dirname(path))
}

/** Forces the names in a folder to disk. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Creates the folder and its parents with mode 0700 where they are missing. */
export async function makePrivateFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
}

/** The content of a regular file of at most `limit` bytes, or null when there is none. Symbolic links are not followed. Throws `file_unreadable`. */
export async function readIfPresent(path: string, limit: number): Promise<Uint8Array | null> {
  try {
    const status = await lstat(path)
    if (!status.isFile()) throw unreadable(path, 'a regular file', 'something else')
    if (status.size > limit) throw unreadable(path, `at most ${limit} bytes`, `${status.size}`)
    return await readFile(path)
  } catch (error) {
    if (error instanceof DoorwardError) throw error
    if (isMissing(error)) return null
    throw unreadable(path, 'a readable file', error instanceof Error ? error.message : String(error))
  }
}

export function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')
}

function unreadable(where: string, expected: string, got: string): DoorwardError {
  return new DoorwardError('file_unreadable', 'a file cannot be read', { where, expected, got })
}
