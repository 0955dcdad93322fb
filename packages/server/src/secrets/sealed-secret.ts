/** A secret that is not a signing key: 32 bytes of chance, sealed in a file of mode 0600, made once. */

import { dirname } from 'node:path'
import type { RandomBytes } from '@doorward/core'
import { checkPrivate } from '@doorward/sdk'
import type { Sealer } from '@doorward/sdk'
import { makePrivateFolder, readIfPresent, writeDurably } from './durable-file.ts'

const SECRET_BYTES = 32
const MAX_FILE = 4096

export interface SealedSecret {
  readonly path: string
  readonly sealer: Sealer
  readonly random: RandomBytes
  /** What it is for; it opens as nothing else. */
  readonly purpose: string
}

/** Opens it, or makes it durably where there is none. Throws `key_mode`, `seal_broken`, `seal_version`, `file_unreadable`. */
export async function openSealedSecret({ path, sealer, random, purpose }: SealedSecret): Promise<Uint8Array> {
  const sealed = await readIfPresent(path, MAX_FILE)
  if (sealed !== null) {
    await checkPrivate(path, 'key_mode')
    return sealer.open(sealed, purpose)
  }
  const secret = random(SECRET_BYTES)
  await makePrivateFolder(dirname(path))
  await writeDurably(path, await sealer.seal(secret, purpose))
  return secret
}
