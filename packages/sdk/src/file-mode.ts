/** Whether only the owner can reach a file or folder. */

import { lstat } from 'node:fs/promises'
import { DoorwardError } from '@doorward/core'

const OTHERS = 0o077

/**
 * Throws an error with `code` when anybody but the owner may read, write or search the path, or when it belongs to
 * another user. Windows has no such modes: there the check passes, and access lists are the operator's duty.
 */
export async function checkPrivate(path: string, code: string): Promise<void> {
  const uid = process.getuid?.()
  if (uid === undefined) return
  const status = await lstat(path)
  const wanted = status.isDirectory() ? '0700' : '0600'
  if ((status.mode & OTHERS) !== 0) {
    throw new DoorwardError(code, 'others than the owner have access', {
      where: path,
      expected: `mode ${wanted}`,
      got: `mode ${(status.mode & 0o7777).toString(8).padStart(4, '0')}`,
      next: `chmod ${wanted} ${path}`,
    })
  }
  if (status.uid !== uid) {
    throw new DoorwardError(code, 'the owner is another user', {
      where: path,
      expected: `uid ${uid}`,
      got: `uid ${status.uid}`,
      next: `chown ${uid} ${path}`,
    })
  }
}
