/** Checks a log on this machine byte by byte, with the key and the second copy that are kept away from it. */

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { DoorwardError, equalBytes, isDoorwardError } from '@doorward/core'
import { fileCheckpointStore } from '@doorward/enforcement'
import { sha256 } from '@doorward/sdk'
import { IndexFile } from '../audit/index-file.ts'
import { rootAt } from '../audit/submission.ts'
import { fsckLog, setAside } from '../audit/fsck/fsck.ts'
import type { FsckReport } from '../audit/fsck/fsck.ts'
import type { Damage } from '../audit/fsck/damage.ts'
import { readVerifierKey } from './log-places.ts'
import type { LogPlace } from './log-places.ts'
import { indexFolderOf } from './log-redaction.ts'
import { verifierOf } from './prove-log.ts'

export type { Damage } from '../audit/fsck/damage.ts'
export type { FsckReport } from '../audit/fsck/fsck.ts'

export interface FsckPlaceOptions {
  readonly vkey?: string
  readonly onProgress?: (progress: { readonly entries: number; readonly expected: number }) => void
  readonly signal?: AbortSignal
}

/** Throws `log_key_missing`, `vkey_malformed`, `log_not_found` and what the file system throws. */
export async function fsckPlace(
  { origin, folder }: LogPlace,
  copyDir: string,
  options: FsckPlaceOptions = {},
): Promise<FsckReport> {
  const vkey = options.vkey ?? (await readVerifierKey(copyDir, origin))
  if (vkey === null) {
    const next = 'name it with --key'
    throw new DoorwardError('log_key_missing', 'the verifier key of the log is not kept here', { where: copyDir, next })
  }
  if (!existsSync(folder)) throw new DoorwardError('log_not_found', 'there is no log in this folder', { where: folder })
  const note = await fileCheckpointStore(copyDir, origin).newest()
  const secondCopy = { note, where: join(copyDir, `${encodeURIComponent(origin)}.checkpoint`) }
  const report = await fsckLog({ ...options, folder, vkey, verifier: verifierOf(vkey), secondCopy, sha256 })
  const index = await indexDamage(folder, origin)
  const aside = (await setAside(folder)).map((path) => `${path} was set aside`)
  const damages = index === null ? report.damages : [...report.damages, index]
  return { ...report, damages, notes: [...report.notes, ...aside] }
}

/** The index, where there is one: what SQLite and the tree say of it. */
async function indexDamage(folder: string, origin: string): Promise<Damage | null> {
  const place = indexFolderOf(folder)
  if (!existsSync(join(place, 'index.sqlite'))) return null
  const damage = { code: 'index_damaged', file: place, bytes: null, entries: null, kept: 'derived' } as const
  try {
    const file = IndexFile.open(place)
    try {
      const cursor = file.cursor()
      const root = cursor === null ? null : await rootAt(sha256, folder, cursor.size)
      const isOurs = cursor === null || (cursor.origin === origin && root !== null && equalBytes(root, cursor.root))
      return isOurs ? null : { ...damage, message: 'the index is of another log' }
    } finally {
      file.close()
    }
  } catch (error) {
    if (!isDoorwardError(error) || error.code === 'index_busy') return null
    return error.code.startsWith('index_') ? { ...damage, message: error.message } : null
  }
}
