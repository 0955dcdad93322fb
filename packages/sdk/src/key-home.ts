/** The key file that opens the folder of a program's identity: made with the folder, and kept outside of it. */

import { join } from 'node:path'
import { DoorwardError, exactObject, hex, scanJson, utf8 } from '@doorward/core'
import { aesGcmSealer } from './aes-gcm-sealer.ts'
import { fileVersion, privateFolder, readBounded, writeDurably } from './durable-file.ts'
import { underLock } from './folder-lock.ts'
import { checkKey, createKeyFile, keyCheckValue, readKeyFile } from './key-file.ts'
import type { KeyEncryptionKey, KeyFilePlace } from './key-file.ts'
import { randomBytes } from './platform/hash.ts'
import { systemProcesses } from './process-identity.ts'
import { systemRuntime } from './runtime.ts'
import type { Sealer } from './sealer.ts'

export interface KeyHome {
  /** Of the identity; made with mode 0700 where it is missing. */
  readonly folder: string
  /** Absolute path of the key file, outside the folder: a copy of the folder alone opens nothing. */
  readonly keyFile: string
}

interface Marker {
  readonly state_id: string
  /** Null until the key is there. */
  readonly key_check: string | null
}

const MARKER = 'key.json'
const LIMITS = { maxBytes: 1024, maxDepth: 1, maxKeys: 4 }

/**
 * Seals by the key of the file (AES-256-GCM). Folder and key are made when both are new; afterwards a key that is missing,
 * of another folder or damaged is refused, and nothing is made in its place. Throws `folder_not_private`,
 * `key_file_missing`, `key_file_wrong`, `key_file_mode`, `key_inside_state`, `identity_folder_invalid` and `lock_timeout`.
 */
export async function keyFileSealer(home: KeyHome): Promise<Sealer> {
  await privateFolder(home.folder)
  const lock = { path: join(home.folder, 'key.lock'), runtime: systemRuntime, processes: systemProcesses() }
  const key = await underLock(lock, () => openKey(home))
  return aesGcmSealer(key, randomBytes)
}

/** Marker first, key second: a crash between them leaves a marker without a check value, for which the key is made anew. */
async function openKey({ folder, keyFile }: KeyHome): Promise<KeyEncryptionKey> {
  const marker = (await readMarker(folder)) ?? (await begin(folder))
  const place: KeyFilePlace = { path: keyFile, outsideOf: [folder], stateId: marker.state_id }
  const isNew = marker.key_check === null && (await fileVersion(keyFile)) === null
  const key = isNew ? await createKeyFile(place, randomBytes) : await readKeyFile(place)
  if (marker.key_check === null) await writeMarker(folder, { ...marker, key_check: keyCheckValue(key) })
  else checkKey(key, marker.key_check, place)
  return key
}

async function begin(folder: string): Promise<Marker> {
  // What is sealed already was sealed by another key.
  for (const name of ['identity.json', 'machine.key'])
    if ((await fileVersion(join(folder, name))) !== null) throw foreign(folder)
  const marker: Marker = { state_id: hex(randomBytes(8)), key_check: null }
  await writeMarker(folder, marker)
  return marker
}

async function writeMarker(folder: string, marker: Marker): Promise<void> {
  await writeDurably(join(folder, MARKER), utf8(`${JSON.stringify({ version: 1, ...marker })}\n`))
}

async function readMarker(folder: string): Promise<Marker | null> {
  const bytes = await readBounded(join(folder, MARKER), LIMITS.maxBytes)
  if (bytes === null) return null
  const scan = scanJson(bytes, LIMITS)
  const document = scan.ok ? exactObject(scan.value, ['version', 'state_id', 'key_check']) : null
  const { version, state_id, key_check } = document ?? {}
  const fits = typeof state_id === 'string' && (key_check === null || typeof key_check === 'string')
  if (version !== 1 || !fits) throw foreign(folder)
  return { state_id, key_check }
}

function foreign(folder: string): DoorwardError {
  return new DoorwardError('identity_folder_invalid', 'the folder has an identity that no key file here opens', {
    where: join(folder, MARKER),
    expected: 'a folder that was made with its key file',
    next: 'name the folder that belongs to the key file, or join again in an empty one',
  })
}
