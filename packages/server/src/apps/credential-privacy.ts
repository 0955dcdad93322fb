/** Whether a folder is a place for private keys: ours alone, and nobody else can put another in its stead. */

import type { Stats } from 'node:fs'
import { lstat, mkdir, realpath } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { DoorwardError } from '@doorward/core'

const OTHERS = 0o077
const OTHERS_WRITE = 0o022
const STICKY = 0o1000

/**
 * The folder's real path; made with mode 0700 when it is missing. Throws `credentials_folder_not_private` when it is a
 * link or no folder, belongs to another user, or others than its owner have any access, also when an ancestor lets
 * others move it away. Throws `credentials_folder_unusable` when it cannot be made or looked at.
 */
export async function privateCredentialFolder(folder: string): Promise<string> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 })
    checkFolder(folder, await lstat(folder))
    const path = join(await realpath(dirname(folder)), basename(folder))
    await checkAncestors(dirname(path))
    return path
  } catch (error) {
    if (error instanceof DoorwardError) throw error
    throw new DoorwardError('credentials_folder_unusable', 'the folder cannot be used', {
      where: folder,
      got: error instanceof Error ? error.message : String(error),
    })
  }
}

function checkFolder(path: string, status: Stats): void {
  const uid = process.getuid?.() ?? status.uid
  // A link could be turned to another place while we write.
  if (!status.isDirectory()) throw notPrivate(path, 'a folder, not a link to one', 'something else')
  if (status.uid !== uid) throw notPrivate(path, `a folder of uid ${uid}`, `uid ${status.uid}`)
  if ((status.mode & OTHERS) === 0) return
  throw notPrivate(path, 'mode 0700', `mode ${mode(status)}`, `chmod 700 ${path}`)
}

/** Who may write to an ancestor could put a folder of their own here, unless the sticky bit forbids it. */
async function checkAncestors(path: string): Promise<void> {
  const status = await lstat(path)
  const uid = process.getuid?.() ?? status.uid
  if (status.uid !== uid && status.uid !== 0)
    throw notPrivate(path, `a folder of root or of uid ${uid} on the way`, `uid ${status.uid}`)
  if ((status.mode & OTHERS_WRITE) !== 0 && (status.mode & STICKY) === 0)
    throw notPrivate(path, 'no folder on the way that others may write to', `mode ${mode(status)}`)
  if (dirname(path) !== path) await checkAncestors(dirname(path))
}

function mode(status: Stats): string {
  return (status.mode & 0o7777).toString(8).padStart(4, '0')
}

function notPrivate(where: string, expected: string, got: string, next?: string): DoorwardError {
  return new DoorwardError('credentials_folder_not_private', 'private keys are not written where others may reach', {
    where,
    expected,
    got,
    next: next ?? 'name a folder that belongs to this user alone',
  })
}
