/** Signing keys on disk: each sealed in its own file of mode 0600, opened into a handle, never in the database. */

import { createPrivateKey } from 'node:crypto'
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { DoorwardError } from '@doorward/core'
import { checkPrivate } from '@doorward/sdk'
import type { Sealer } from '@doorward/sdk'
import { isMissing, makePrivateFolder, partialSuffix, readIfPresent, syncFolder, writeDurably } from './durable-file.ts'
import { generatePrivateKey, signingKeyOf } from './signing-key.ts'
import type { KeyKind, SigningKey } from './signing-key.ts'

const NAME = /^[a-z0-9][a-z0-9-]{0,99}$/
const MAX_FILE = 4096
const SUFFIX = '.key'

/**
 * Named keys in one folder. A name is made once and never overwritten; when `create` resolves, the key is durable.
 * Not safe for two processes on one folder: the state folder's lock keeps the second one out.
 */
export class KeyCustody {
  readonly #folder: string
  readonly #sealer: Sealer
  readonly #opened = new Map<string, SigningKey>()
  /** Rises when a key begins to go and when it has gone: what was read meanwhile is not kept. */
  #destructions = 0

  constructor(folder: string, sealer: Sealer) {
    this.#folder = folder
    this.#sealer = sealer
  }

  /** Makes a key. Throws `key_name`, or `key_exists` when the name is taken. */
  async create(name: string, kind: KeyKind): Promise<SigningKey> {
    const path = this.#path(name)
    await makePrivateFolder(this.#folder)
    if ((await readIfPresent(path, MAX_FILE)) !== null) {
      throw new DoorwardError('key_exists', 'a signing key of this name is there already', { where: path })
    }
    const privateKey = generatePrivateKey(kind)
    const plain = privateKey.export({ type: 'pkcs8', format: 'der' })
    try {
      await writeDurably(path, await this.#sealer.seal(plain, context(name, kind)))
    } finally {
      plain.fill(0)
    }
    const key = signingKeyOf(kind, privateKey)
    this.#opened.set(name, key)
    return key
  }

  /** The key, or null when there is none. Throws `key_mode`, `seal_broken`, `seal_version`, `key_kind`. */
  async open(name: string, kind: KeyKind): Promise<SigningKey | null> {
    const opened = this.#opened.get(name)
    if (opened !== undefined) {
      if (opened.kind !== kind) throw new DoorwardError('key_kind', `expected a private key of kind ${kind}`)
      return opened
    }
    const path = this.#path(name)
    const before = this.#destructions
    const sealed = await readIfPresent(path, MAX_FILE)
    if (sealed === null || !(await this.#isThere(path))) return null
    const plain = await this.#unseal(path, sealed, context(name, kind))
    const key = signingKeyOf(kind, createPrivateKey({ key: Buffer.from(plain), format: 'der', type: 'pkcs8' }))
    plain.fill(0)
    if (this.#destructions === before) this.#opened.set(name, key)
    return key
  }

  /** Throws `key_missing` where `open` answers null. */
  async need(name: string, kind: KeyKind): Promise<SigningKey> {
    const key = await this.open(name, kind)
    if (key !== null) return key
    throw new DoorwardError('key_missing', 'a signing key is missing from the state folder', {
      where: this.#path(name),
      next: 'put the state folder back as it was; keys cannot be made again',
    })
  }

  /** Forgets the key for good. Nothing happens when there is none. */
  async destroy(name: string): Promise<void> {
    this.#forget(name)
    await rm(this.#path(name), { force: true })
    this.#forget(name)
    await syncFolder(this.#folder)
  }

  /** Names of all keys; remains of interrupted writes are not among them. */
  async names(): Promise<readonly string[]> {
    try {
      const files = await readdir(this.#folder)
      return files
        .filter((file) => file.endsWith(SUFFIX) && !file.endsWith(partialSuffix))
        .map((file) => file.slice(0, -SUFFIX.length))
        .toSorted()
    } catch (error) {
      if (isMissing(error)) return []
      throw error
    }
  }

  #forget(name: string): void {
    this.#opened.delete(name)
    this.#destructions++
  }

  /** False when it was destroyed since it was read. */
  async #isThere(path: string): Promise<boolean> {
    try {
      await checkPrivate(path, 'key_mode')
      return true
    } catch (error) {
      if (isMissing(error)) return false
      throw error
    }
  }

  async #unseal(path: string, sealed: Uint8Array, what: string): Promise<Uint8Array> {
    try {
      return await this.#sealer.open(sealed, what)
    } catch (error) {
      if (!(error instanceof DoorwardError)) throw error
      const { code, message, expected = '', got = '' } = error
      const next = 'put the file back as it was; nothing has been changed'
      throw new DoorwardError(code, message, { where: path, expected, got, next, cause: error })
    }
  }

  #path(name: string): string {
    if (!NAME.test(name))
      throw new DoorwardError('key_name', 'expected a key name of a-z, 0-9 and -', {
        got: JSON.stringify(name.slice(0, 120)),
      })
    return join(this.#folder, `${name}${SUFFIX}`)
  }
}

/** The kind is part of what is authenticated: a key of one kind cannot be passed off as another. */
function context(name: string, kind: KeyKind): string {
  return `key/${kind}/${name}`
}
