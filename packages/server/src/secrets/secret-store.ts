/**
 * The gateway's own secrets: each sealed in a file of its own, put and replaced over the admin API, and given to nobody but
 * the ways to servers.
 */

import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { DoorwardError, fromUtf8, Secret, utf8 } from '@doorward/core'
import { checkPrivate } from '@doorward/sdk'
import type { Sealer } from '@doorward/sdk'
import { isMissing, makePrivateFolder, partialSuffix, readIfPresent, syncFolder, writeDurably } from './durable-file.ts'
import { isSecretName, secretBytes, secretMissing } from './secret-source.ts'
import type { SecretSource } from './secret-source.ts'

export interface StoredSecret {
  readonly name: string
  readonly version: number
  /** Seconds since 1970 of the first value, and of this one. */
  readonly since: number
  readonly changed: number
}

export interface SecretStoreOptions {
  readonly folder: string
  readonly sealer: Sealer
  /** Seconds since 1970. */
  readonly now: () => number
  /** Told of files that do not open: their secrets are refused until they are put anew. */
  readonly onBroken: (name: string, error: unknown) => void
}

interface Held extends StoredSecret {
  readonly value: Secret
}

const SUFFIX = '.secret'
const SEQUENCE = 'sequence'
/** A value of 64 KiB in JSON, sealed. */
const MAX_FILE = 8 * secretBytes
const MAX_ENTRIES = 1000
/** Of all values, which are held in memory too. */
const MAX_TOTAL = 16 * 1024 * 1024

/**
 * Entries of one folder, which nobody else writes: the state folder's lock keeps a second process out. What a verb has told is
 * durable. Versions are numbers that rise in the whole store, so that none is ever given to two values.
 */
export class SecretStore {
  readonly #options: SecretStoreOptions
  readonly #held = new Map<string, Held>()
  readonly #broken = new Set<string>()
  #sequence = 0
  #turn: Promise<unknown> = Promise.resolve()

  private constructor(options: SecretStoreOptions) {
    this.#options = options
  }

  /** Throws `key_mode` for a folder that is open to others, `seal_broken` when the sequence does not open. */
  static async open(options: SecretStoreOptions): Promise<SecretStore> {
    const store = new SecretStore(options)
    await makePrivateFolder(options.folder)
    await checkPrivate(options.folder, 'key_mode')
    await store.#readSequence()
    for (const name of await store.#names()) await store.#readEntry(name)
    return store
  }

  /** Sorted by name. */
  list(): readonly StoredSecret[] {
    return [...this.#held.values()]
      .map(({ name, version, since, changed }) => ({ name, version, since, changed }))
      .toSorted((a, b) => (a.name < b.name ? -1 : 1))
  }

  /** Names of files that do not open. */
  broken(): readonly string[] {
    return [...this.#broken].toSorted()
  }

  source(name: string): SecretSource {
    return {
      kind: 'store',
      read: async () => {
        const held = this.#held.get(name)
        if (held !== undefined) return { value: held.value, version: String(held.version) }
        if (this.#broken.has(name)) throw brokenEntry(this.#path(name))
        throw secretMissing(name, `doorward secret put ${name}`)
      },
    }
  }

  /**
   * Keeps a new one. `record` is told the version before anything is written, and what it throws leaves the store as it is.
   * Throws `secret_exists`, `secret_name`, `secret_store_full`.
   */
  put(name: string, value: Secret, record: (version: number) => Promise<void>): Promise<StoredSecret> {
    return this.#inTurn(async () => {
      if (this.#held.has(name))
        throw new DoorwardError('secret_exists', 'a secret of this name is there already', {
          where: name,
          next: `doorward secret rotate ${name}`,
        })
      return this.#write(name, value, record)
    })
  }

  /** Puts another value in place of the one that is there. Throws `secret_missing`. */
  rotate(name: string, value: Secret, record: (version: number) => Promise<void>): Promise<StoredSecret> {
    return this.#inTurn(async () => {
      if (!this.#held.has(name)) throw secretMissing(name, `doorward secret put ${name}`)
      return this.#write(name, value, record)
    })
  }

  /** Also one that does not open. Throws `secret_missing`. */
  remove(name: string, record: (version: number) => Promise<void>): Promise<void> {
    return this.#inTurn(async () => {
      const held = this.#held.get(name)
      if (held === undefined && !this.#broken.has(name)) throw secretMissing(name, 'doorward secret list')
      await record(held?.version ?? 0)
      await rm(this.#path(name), { force: true })
      await syncFolder(this.#options.folder)
      this.#held.delete(name)
      this.#broken.delete(name)
    })
  }

  async #write(name: string, value: Secret, record: (version: number) => Promise<void>): Promise<StoredSecret> {
    const { sealer, now } = this.#options
    this.#checkRoom(name, value)
    const version = this.#sequence + 1
    await record(version)
    // The number is spent first: what a crash leaves behind is a gap.
    await writeDurably(join(this.#options.folder, SEQUENCE), await sealer.seal(utf8(String(version)), SEQUENCE_CONTEXT))
    this.#sequence = version
    const changed = now()
    const held: Held = { name, version, since: this.#held.get(name)?.since ?? changed, changed, value }
    const text = JSON.stringify({ v: 1, version, since: held.since, changed, value: value.reveal() })
    await writeDurably(this.#path(name), await sealer.seal(utf8(text), contextOf(name)))
    this.#held.set(name, held)
    this.#broken.delete(name)
    return { name, version, since: held.since, changed }
  }

  #checkRoom(name: string, value: Secret): void {
    if (!isSecretName(name))
      throw new DoorwardError('secret_name', 'expected a name of a-z, 0-9, - and _', {
        got: JSON.stringify(name.slice(0, 120)),
      })
    let total = value.reveal().length
    for (const [other, held] of this.#held) if (other !== name) total += held.value.reveal().length
    if ((this.#held.has(name) || this.#held.size < MAX_ENTRIES) && total <= MAX_TOTAL) return
    throw new DoorwardError('secret_store_full', 'the store holds as many secrets as it may', {
      where: this.#options.folder,
      expected: `at most ${MAX_ENTRIES}, and ${MAX_TOTAL} characters`,
      next: 'doorward secret remove what nobody uses',
    })
  }

  async #names(): Promise<readonly string[]> {
    const files = await readdir(this.#options.folder)
    return files
      .filter((file) => file.endsWith(SUFFIX) && !file.endsWith(partialSuffix))
      .map((file) => file.slice(0, -SUFFIX.length))
      .filter((name) => isSecretName(name))
  }

  async #readSequence(): Promise<void> {
    const sealed = await readIfPresent(join(this.#options.folder, SEQUENCE), MAX_FILE)
    if (sealed === null) return
    this.#sequence = Number(fromUtf8(await this.#options.sealer.open(sealed, SEQUENCE_CONTEXT)))
  }

  /** One that does not open is kept as it is, so that nothing of it is lost, and refused. */
  async #readEntry(name: string): Promise<void> {
    const path = this.#path(name)
    try {
      const sealed = await readIfPresent(path, MAX_FILE)
      if (sealed === null) return
      await checkPrivate(path, 'secret_mode')
      const held = entryOf(name, JSON.parse(fromUtf8(await this.#options.sealer.open(sealed, contextOf(name)))))
      if (held === null) throw brokenEntry(path)
      this.#held.set(name, held)
      this.#sequence = Math.max(this.#sequence, held.version)
    } catch (error) {
      if (isMissing(error)) return
      this.#broken.add(name)
      this.#options.onBroken(name, error)
    }
  }

  #path(name: string): string {
    return join(this.#options.folder, `${name}${SUFFIX}`)
  }

  /** One change after the other. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const next = this.#turn.then(work)
    this.#turn = next.catch(() => undefined)
    return next
  }
}

const SEQUENCE_CONTEXT = 'gateway/secrets'

function contextOf(name: string): string {
  return `gateway/secret/${name}`
}

function entryOf(name: string, value: unknown): Held | null {
  if (typeof value !== 'object' || value === null) return null
  const { v, version, since, changed, value: text } = value as Readonly<Record<string, unknown>>
  if (v !== 1 || typeof text !== 'string' || text === '') return null
  if (typeof version !== 'number' || typeof since !== 'number' || typeof changed !== 'number') return null
  return { name, version, since, changed, value: new Secret(text) }
}

function brokenEntry(where: string): DoorwardError {
  return new DoorwardError('secret_broken', 'the file of a secret does not open', {
    where,
    next: 'put the file back as it was, or remove the secret and put it anew',
  })
}
