/**
 * A folder of files that change together, as Kubernetes' atomic writer does it: each generation lies in a subfolder of
 * its own, `..data` is a link to the one in force, and the plain names beside it lead through that link. One rename of
 * the link puts a whole generation in force; a process that dies anywhere leaves the old one or the new one.
 */

import { constants } from 'node:fs'
import { lstat, mkdir, open, readdir, readlink, rename, rm, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { DoorwardError, hex, isDoorwardError } from '@doorward/core'
import type { RandomBytes } from '@doorward/core'
import { isMissing, readIfPresent, syncFolder } from '../secrets/durable-file.ts'
import { lockFolder, lockName } from '../secrets/instance-lock.ts'
import type { InstanceLock } from '../secrets/instance-lock.ts'
import { privateCredentialFolder } from './credential-privacy.ts'

/** Every change on the disk, one by one: between any two of them the process may die. */
export interface FolderEffects {
  /** Mode 0700; fails when the name is taken. */
  readonly makeFolder: (path: string) => Promise<void>
  /** A new file of mode 0600, forced to disk. */
  readonly writeFile: (path: string, bytes: Uint8Array) => Promise<void>
  readonly link: (target: string, path: string) => Promise<void>
  readonly rename: (from: string, to: string) => Promise<void>
  /** With all that is in it; nothing when there is none. */
  readonly remove: (path: string) => Promise<void>
  /** Forces the names in a folder to disk. */
  readonly sync: (folder: string) => Promise<void>
}

export const diskEffects: FolderEffects = {
  makeFolder: async (path) => {
    await mkdir(path, { mode: 0o700 })
  },
  writeFile: async (path, bytes) => {
    const { O_CREAT, O_EXCL, O_WRONLY, O_NOFOLLOW } = constants
    const file = await open(path, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW, 0o600)
    try {
      await file.writeFile(bytes)
      await file.sync()
    } finally {
      await file.close()
    }
  },
  link: symlink,
  rename,
  remove: (path) => rm(path, { recursive: true, force: true }),
  sync: syncFolder,
}

export interface CredentialFolderOptions {
  readonly path: string
  /** Every name that a generation may have; each leads through the link. */
  readonly names: readonly string[]
  readonly random: RandomBytes
  readonly effects?: FolderEffects
}

/** Link to the generation in force. */
export const currentName = '..data'
const nextName = '..data.new'
const GENERATION = /^\.\.generation-[0-9a-f]{12}$/
const MAX_BYTES = 1024 * 1024

/** A name that can stand in the folder: it hides nothing, leads nowhere else and is none of ours. */
export function isCredentialName(name: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(name) && name !== lockName && !name.startsWith(`${lockName}-`)
}

export class CredentialFolder {
  readonly path: string
  readonly #names: readonly string[]
  readonly #random: RandomBytes
  readonly #effects: FolderEffects
  readonly #lock: InstanceLock

  private constructor(path: string, options: CredentialFolderOptions, lock: InstanceLock) {
    this.path = path
    this.#names = options.names
    this.#random = options.random
    this.#effects = options.effects ?? diskEffects
    this.#lock = lock
  }

  /**
   * Takes the folder for this process and removes what an earlier one left half-done. Throws
   * `credentials_folder_not_private`, `credentials_folder_unusable`, `credentials_folder_in_use`, and
   * `credentials_folder_foreign` when something that we did not write stands at one of our names.
   */
  static async open(options: CredentialFolderOptions): Promise<CredentialFolder> {
    const path = await privateCredentialFolder(options.path)
    await refuseForeign(path, options.names)
    const folder = new CredentialFolder(path, options, lockIt(path))
    try {
      await folder.sweep()
      await folder.#unlinkOthers()
      return folder
    } catch (error) {
      folder.release()
      throw error
    }
  }

  /** A file of the generation in force; null when it has none of that name. Throws `file_unreadable`. */
  async read(name: string): Promise<Uint8Array | null> {
    const generation = await this.#current()
    return generation === null ? null : readIfPresent(join(this.path, generation, name), MAX_BYTES)
  }

  /**
   * Puts these files in force, all at once; when the promise resolves they are durable. The generation before stays
   * until `sweep`, for readers that have followed the link already. Throws `credentials_not_written`; then the old one
   * is in force, or the new one where only its last step to disk failed.
   */
  async write(files: ReadonlyMap<string, Uint8Array>): Promise<void> {
    const before = await this.#current()
    await this.#remove((name) => name !== before)
    const generation = `..generation-${hex(this.#random(6))}`
    try {
      await this.#make(generation, files)
      await this.#linkNames()
      await this.#effects.link(generation, join(this.path, nextName))
      await this.#effects.rename(join(this.path, nextName), join(this.path, currentName))
      await this.#effects.sync(this.path)
    } catch (error) {
      const inForce = await this.#current()
      await this.#remove((name) => name !== inForce && name !== before).catch(() => undefined)
      throw notWritten(this.path, error)
    }
  }

  /** Leaves only these files in force and removes all others; with no room for these, all are removed. Throws `credentials_not_written`. */
  async withdraw(files: ReadonlyMap<string, Uint8Array>): Promise<void> {
    try {
      await this.write(files)
    } catch {
      await this.#effects.remove(join(this.path, currentName))
    }
    await this.sweep()
  }

  /** Removes every generation but the one in force, and what was left half-done. Throws `credentials_not_written`. */
  async sweep(): Promise<void> {
    try {
      const inForce = await this.#current()
      await this.#remove((name) => name !== inForce)
    } catch (error) {
      throw notWritten(this.path, error)
    }
  }

  /** Lets another process have the folder. The files stay. */
  release(): void {
    this.#lock.release()
  }

  async #make(generation: string, files: ReadonlyMap<string, Uint8Array>): Promise<void> {
    const folder = join(this.path, generation)
    await this.#effects.makeFolder(folder)
    for (const [name, bytes] of files) await this.#effects.writeFile(join(folder, name), bytes)
    await this.#effects.sync(folder)
  }

  /** Before the switch, so that with it everything is in place. */
  async #linkNames(): Promise<void> {
    for (const name of this.#names) {
      const path = join(this.path, name)
      if ((await targetOf(path)) === null) await this.#effects.link(`${currentName}/${name}`, path)
    }
  }

  /** Names of earlier runs that lead to nothing any more. */
  async #unlinkOthers(): Promise<void> {
    for (const entry of await readdir(this.path, { withFileTypes: true })) {
      const path = join(this.path, entry.name)
      if (!entry.isSymbolicLink() || this.#names.includes(entry.name)) continue
      if ((await targetOf(path)) === `${currentName}/${entry.name}`) await this.#effects.remove(path)
    }
  }

  async #current(): Promise<string | null> {
    return targetOf(join(this.path, currentName))
  }

  async #remove(which: (generation: string) => boolean): Promise<void> {
    for (const name of await readdir(this.path)) {
      if (name === nextName || (GENERATION.test(name) && which(name))) await this.#effects.remove(join(this.path, name))
    }
  }
}

/** What a link says; null for no link at all. Throws for anything else of that name. */
async function targetOf(path: string): Promise<string | null> {
  try {
    return await readlink(path)
  } catch (error) {
    if (isMissing(error)) return null
    throw error
  }
}

/** Nothing that somebody else has put there is ever replaced. */
async function refuseForeign(folder: string, names: readonly string[]): Promise<void> {
  for (const name of [currentName, nextName, ...names]) {
    const path = join(folder, name)
    const status = await lstat(path).catch((error: unknown) => {
      if (isMissing(error)) return null
      throw error
    })
    if (status === null) continue
    const target = status.isSymbolicLink() ? await readlink(path) : null
    if (target === `${currentName}/${name}` || (!names.includes(name) && target !== null && GENERATION.test(target)))
      continue
    throw new DoorwardError('credentials_folder_foreign', 'something that this program did not write is in the way', {
      where: path,
      got: target === null ? 'no link' : `a link to ${target}`,
      next: 'name another folder, or move it away; nothing has been changed',
    })
  }
}

function lockIt(path: string): InstanceLock {
  try {
    return lockFolder(path)
  } catch (error) {
    if (!isDoorwardError(error, 'state_in_use')) throw error
    throw new DoorwardError('credentials_folder_in_use', 'another process keeps the files in this folder', {
      where: path,
      next: 'stop that process, or name another folder',
    })
  }
}

function notWritten(where: string, error: unknown): DoorwardError {
  return new DoorwardError('credentials_not_written', 'the files cannot be written', {
    where,
    got: error instanceof Error ? error.message : String(error),
    cause: error,
  })
}
