/** Secrets that configuration names by file: nobody else may read them, and they appear nowhere. */

import { stat } from 'node:fs/promises'
import { DoorwardError, Secret, fromUtf8 } from '@doorward/core'
import { openToOthers } from './credentials-directory.ts'
import { readBoundedFile } from './certificate-file.ts'

const MAX_BYTES = 64 * 1024

/** The content without a final line end. Throws `secret_file` for one that is missing, empty, too long, no text, or open to others. */
export async function readSecretFile(path: string): Promise<Secret> {
  try {
    const status = await stat(path)
    if (openToOthers(status)) throw unusable(path, `mode ${(status.mode & 0o777).toString(8)}`)
    const text = fromUtf8(await readBoundedFile(path, MAX_BYTES)).replace(/\r?\n$/, '')
    if (text === '') throw unusable(path, 'an empty file')
    return new Secret(text)
  } catch (error) {
    if (error instanceof DoorwardError && error.code === 'secret_file') throw error
    throw unusable(path, error instanceof Error && 'code' in error ? String(error.code) : 'something else')
  }
}

function unusable(where: string, got: string): DoorwardError {
  return new DoorwardError('secret_file', 'a file with a secret cannot be used', {
    where,
    expected: `a text of at most ${MAX_BYTES} bytes that nobody else can read`,
    got,
    next: 'correct the path, or chmod 600 the file',
  })
}
