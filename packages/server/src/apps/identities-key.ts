/**
 * The key that opens the identities of a machine: in a file outside the state folder, or, where the configuration says so, in the
 * keyring of the person who calls. The one never stands in for the other.
 */

import { stat } from 'node:fs/promises'
import { DoorwardError, isDoorwardError } from '@doorward/core'
import type { RandomBytes } from '@doorward/core'
import { createKeyFile, keyOfText, readKeyFile } from '@doorward/sdk'
import type { KeyEncryptionKey, KeyFilePlace } from '@doorward/sdk'
import type { KeyringEntry } from '../config/secret-settings.ts'
import { isMissing } from '../secrets/durable-file.ts'
import { keyringSource } from '../secrets/keyring-source.ts'

export interface IdentitiesKeyPlace {
  readonly file: KeyFilePlace
  /** Null where the key is in the file. */
  readonly keyring: KeyringEntry | null
  /** Whether there is anything that it would have to open. */
  readonly used: () => Promise<boolean>
  readonly random: RandomBytes
}

/**
 * Throws the codes of the key file (`key_file_*`, `key_inside_state`), and of the keyring `keyring_unsupported`, `key_missing`,
 * `key_unavailable`, `key_twice` and `key_file_wrong`.
 */
export function identitiesKey(place: IdentitiesKeyPlace): Promise<KeyEncryptionKey> {
  return place.keyring === null ? keyInFile(place) : keyInKeyring(place.file, place.keyring)
}

/** A missing key is made only while there is nothing that it would have to open. */
async function keyInFile({ file, used, random }: IdentitiesKeyPlace): Promise<KeyEncryptionKey> {
  // Looked at first: whoever is quicker than we are makes the key before anything that it opens.
  const isUsed = await used()
  try {
    return await readKeyFile(file)
  } catch (error) {
    if (!isDoorwardError(error, 'key_file_missing') || isUsed) throw error
  }
  try {
    return await createKeyFile(file, random)
  } catch (error) {
    // Another process was quicker.
    if (isDoorwardError(error, 'key_file_exists')) return readKeyFile(file)
    throw error
  }
}

/** What is in the keyring is the text of the file that it was moved from. We never write there. */
async function keyInKeyring({ path, stateId }: KeyFilePlace, entry: KeyringEntry): Promise<KeyEncryptionKey> {
  const where = `keyring ${entry.service}/${entry.account}`
  const source = keyringSource(entry, { platform: process.platform, monotonic: () => performance.now() })
  const text = await source.read().then(
    ({ value }) => value,
    (error: unknown) => {
      throw unreadable(error, where, path)
    },
  )
  // A copy of the file would open what the keyring is to keep closed.
  if (await isThere(path))
    throw new DoorwardError('key_twice', 'the key of the identities is in the keyring, and in a file as well', {
      where: path,
      expected: `no file beside ${where}`,
      got: 'a file',
      next: 'delete the file; or keep it, and leave state.identities_keyring out',
    })
  try {
    return keyOfText(text.reveal(), { path: where, stateId })
  } catch (error) {
    if (!(error instanceof DoorwardError)) throw error
    throw new DoorwardError(error.code, 'what the keyring has is not the key of these identities', {
      where,
      ...(error.expected === undefined ? {} : { expected: error.expected }),
      ...(error.got === undefined ? {} : { got: error.got }),
      next: 'put the content of the key file of this state there, or name another entry in state.identities_keyring',
    })
  }
}

function unreadable(error: unknown, where: string, path: string): unknown {
  if (isDoorwardError(error, 'secret_missing'))
    return new DoorwardError('key_missing', 'the keyring has no key of the identities', {
      where,
      expected: 'the content of the key file',
      got: 'no such entry',
      next: `put what is in ${path} there by the keyring's own program, and delete the file; where there is no file yet, join without state.identities_keyring first`,
    })
  if (!(error instanceof DoorwardError) || error.code === 'keyring_unsupported') return error
  return new DoorwardError('key_unavailable', 'the keyring does not give the key of the identities', {
    where,
    expected: 'a keyring that is there and unlocked',
    got: error.got ?? error.message,
    next: 'unlock the keyring, in the session of the person whose it is, and start this again; no file is read in its place',
  })
}

async function isThere(path: string): Promise<boolean> {
  try {
    await stat(path)
    return true
  } catch (error) {
    if (isMissing(error)) return false
    throw error
  }
}
