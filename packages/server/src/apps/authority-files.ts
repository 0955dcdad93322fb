/** Files of an authority that others could get at: whoever can read a key may have it. */

import { readdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { isDoorwardError } from '@doorward/core'
import { checkPrivate } from '@doorward/sdk'
import type { Finding } from '../authority/detect/finding.ts'
import { isMissing } from '../secrets/durable-file.ts'

export interface WatchedFiles {
  readonly keyFile: string
  readonly rootFile: string
  readonly stateDir: string
}

/** What is open to others, or belongs to somebody else. Nothing is signed while there is any of it. */
export async function exposedFiles({ keyFile, rootFile, stateDir }: WatchedFiles): Promise<readonly Finding[]> {
  const keys = join(stateDir, 'keys')
  const named = (await readdir(keys).catch(() => [])).filter((name) => !name.startsWith('.'))
  const watched: readonly (readonly [path: string, code: string])[] = [
    [keyFile, 'key_file_mode'],
    [dirname(keyFile), 'key_file_mode'],
    [rootFile, 'root_mode'],
    [stateDir, 'state_folder_mode'],
    [keys, 'key_mode'],
    ...named.map((name) => [join(keys, name), 'key_mode'] as const),
  ]
  const found = await Promise.all(watched.map(([path, code]) => exposure(path, code)))
  return found.filter((one) => one !== null)
}

async function exposure(path: string, code: string): Promise<Finding | null> {
  try {
    await checkPrivate(path, code)
    return null
  } catch (error) {
    // Keys come and go, and the recovery root should have left.
    if (isMissing(error)) return null
    if (!isDoorwardError(error, code)) throw error
    const { message, expected, got, next } = error
    const detail = `${message}: expected ${expected}, got ${got}; nothing is signed before that is put right (${next}), and then its keys should be replaced: doorward authority rotate`
    return { detector: code, subject: path, detail, stops: true }
  }
}
