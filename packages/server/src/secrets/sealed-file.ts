/** A file whose content is sealed: replaced as a whole, and good for one purpose. */

import { dirname } from 'node:path'
import { makePrivateFolder, readIfPresent, writeDurably } from './durable-file.ts'
import { checkPrivate } from '@doorward/sdk'
import type { Sealer } from '@doorward/sdk'

export interface SealedPlace {
  readonly path: string
  readonly sealer: Sealer
  /** What it is for; it opens as nothing else. */
  readonly purpose: string
}

const MAX_FILE = 256 * 1024

/** Null where there is none. Throws `key_mode`, `seal_broken`, `seal_version`, `file_unreadable`. */
export async function readSealedFile({ path, sealer, purpose }: SealedPlace): Promise<Uint8Array | null> {
  const sealed = await readIfPresent(path, MAX_FILE)
  if (sealed === null) return null
  await checkPrivate(path, 'key_mode')
  return sealer.open(sealed, purpose)
}

/** When it resolves, the content is durable; after a crash before that the old one stands. */
export async function writeSealedFile({ path, sealer, purpose }: SealedPlace, content: Uint8Array): Promise<void> {
  await makePrivateFolder(dirname(path))
  await writeDurably(path, await sealer.seal(content, purpose))
}
