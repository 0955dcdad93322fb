/**
 * The key-encryption key: one file outside the state folder, so that a copy of the state opens nothing.
 *
 * The file names the state that it belongs to; the state keeps a check value of the key. A wrong, foreign or
 * damaged key is therefore told apart at start, before anything is opened with it.
 */

import { createHmac, timingSafeEqual } from 'node:crypto'
import { lstat, mkdir, realpath } from 'node:fs/promises'
import { basename, dirname, join, relative, resolve, sep } from 'node:path'
import { DoorwardError, fromBase64url, fromUtf8, Secret, toBase64url, utf8 } from '@doorward/core'
import type { RandomBytes } from '@doorward/core'
import { isErrno, readBounded, writeDurably } from './durable-file.ts'
import { checkPrivate } from './file-mode.ts'

/** 32 bytes for AES-256-GCM. */
export type KeyEncryptionKey = Secret<Uint8Array>

export interface KeyFilePlace {
  /** Absolute path of the key file. */
  readonly path: string
  /** Folders in which the key must not lie. */
  readonly outsideOf: readonly string[]
  /** Identifier of the state that the key opens. */
  readonly stateId: string
}

const KEY_BYTES = 32
const MAX_FILE = 512
const PREFIX = 'doorward-key-1'
const CHECK_LABEL = 'doorward key check v1'

/** Makes a new key, in a folder of mode 0700, in a file of mode 0600. Throws `key_inside_state`, `key_file_mode`, `key_file_exists`. */
export async function createKeyFile(place: KeyFilePlace, random: RandomBytes): Promise<KeyEncryptionKey> {
  await checkOutside(place)
  await mkdir(dirname(place.path), { recursive: true, mode: 0o700 })
  await checkPrivate(dirname(place.path), 'key_file_mode')
  if ((await readBounded(place.path, MAX_FILE)) !== null) {
    throw new DoorwardError('key_file_exists', 'a key file is there already', { where: place.path })
  }
  const key = random(KEY_BYTES)
  await writeDurably(place.path, utf8(`${PREFIX}.${place.stateId}.${toBase64url(key)}\n`))
  return new Secret(key)
}

/**
 * Reads the key. Throws `key_file_missing`, `key_file_wrong` (damaged, or of another state), `key_file_mode`
 * (file or folder open to others) or `key_inside_state`.
 */
export async function readKeyFile(place: KeyFilePlace): Promise<KeyEncryptionKey> {
  await checkOutside(place)
  const bytes = await readBounded(place.path, MAX_FILE)
  if (bytes === null) {
    throw new DoorwardError('key_file_missing', 'the key file is missing: without it the state cannot be opened', {
      where: place.path,
      next: 'put the key file of this state back, with mode 0600',
    })
  }
  await checkPrivate(place.path, 'key_file_mode')
  await checkPrivate(dirname(place.path), 'key_file_mode')
  return keyOfText(textOf(bytes, place), place)
}

/** The key in the text of a key file, wherever that lies. Throws `key_file_wrong`. */
export function keyOfText(file: string, place: Pick<KeyFilePlace, 'path' | 'stateId'>): KeyEncryptionKey {
  const [prefix, stateId, text, ...rest] = file.trimEnd().split('.')
  const key = text === undefined ? null : fromBase64url(text)
  if (prefix !== PREFIX || stateId === undefined || key?.length !== KEY_BYTES || rest.length > 0) {
    throw wrong(place, `${PREFIX}.<state id>.<key>`, 'another content')
  }
  if (stateId !== place.stateId)
    throw wrong(place, `the key of state ${place.stateId}`, `the key of state ${stateId.slice(0, 64)}`)
  return new Secret(key)
}

/** A value by which the right key is recognised and that tells nothing about it. */
export function keyCheckValue(key: KeyEncryptionKey): string {
  return createHmac('sha256', key.reveal()).update(CHECK_LABEL).digest('base64url')
}

/** Throws `key_file_wrong` when the key has another check value. */
export function checkKey(key: KeyEncryptionKey, expected: string, place: KeyFilePlace): void {
  const got = Buffer.from(keyCheckValue(key))
  const want = Buffer.from(expected)
  if (got.length !== want.length || !timingSafeEqual(got, want))
    throw wrong(place, 'the key that sealed this state', 'another key')
}

function textOf(bytes: Uint8Array, place: KeyFilePlace): string {
  try {
    return fromUtf8(bytes)
  } catch {
    throw wrong(place, 'text', 'bytes that are not UTF-8')
  }
}

function wrong(place: Pick<KeyFilePlace, 'path'>, expected: string, got: string): DoorwardError {
  return new DoorwardError('key_file_wrong', 'the key file is not the one of this state', {
    where: place.path,
    expected,
    got,
    next: 'put the right key file back; nothing has been changed',
  })
}

/** Symbolic links are resolved first: a link out of the state folder is outside, a link into it is not. */
async function checkOutside({ path, outsideOf }: KeyFilePlace): Promise<void> {
  const real = await realPathOf(resolve(path))
  for (const folder of outsideOf) {
    const inside = relative(await realPathOf(resolve(folder)), real)
    if (inside === '' || (inside !== '..' && !inside.startsWith(`..${sep}`) && resolve(inside) !== inside)) {
      throw new DoorwardError(
        'key_inside_state',
        'the key file lies inside the state folder, where a copy of the state would hold it',
        {
          where: path,
          expected: `a path outside ${folder}`,
          next: 'keep the key in another folder, by default below ~/.config/doorward',
        },
      )
    }
  }
}

/** The real path of the longest part that exists, with the rest appended. */
async function realPathOf(path: string): Promise<string> {
  try {
    return await realpath(path)
  } catch (error) {
    if (!isMissing(error)) throw error
    if (await exists(path)) return path
    const parent = dirname(path)
    return parent === path ? path : join(await realPathOf(parent), basename(path))
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path)
    return true
  } catch {
    return false
  }
}

function isMissing(error: unknown): boolean {
  return isErrno(error, 'ENOENT') || isErrno(error, 'ENOTDIR')
}
