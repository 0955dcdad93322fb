/** Space that is kept for the day the disk is full: given back, it lets the record say durably why nothing passes. */

import { randomBytes } from 'node:crypto'
import { open, rm, stat, statfs } from 'node:fs/promises'
import { dirname } from 'node:path'

export const RESERVE_FILE = 'reserve'

const CHUNK_BYTES = 1024 * 1024

/** Files of `bytes` each, one on every disk that the record writes to. Without paths or bytes there is none. */
export class Reserve {
  readonly #paths: readonly string[]
  readonly #bytes: number
  #held = false
  /** Making and giving back never overlap. */
  #last: Promise<unknown> = Promise.resolve()

  constructor(paths: readonly string[], bytes: number) {
    this.#paths = bytes === 0 ? [] : paths
    this.#bytes = bytes
  }

  /** Whether there is one to be given back. */
  get held(): boolean {
    return this.#held
  }

  /** Whether one is wanted at all. */
  get wanted(): boolean {
    return this.#paths.length > 0
  }

  /**
   * Makes what is missing of it; resolves to whether it is whole. A quarter of it has to be free beside it, so that
   * keeping it does not itself fill the disk. Never rejects: a disk that cannot be written has no space either.
   */
  make(): Promise<boolean> {
    return this.#next(async () => {
      for (const path of this.#paths) if (!(await this.#makeOne(path))) return false
      this.#held = this.wanted
      return true
    })
  }

  /** Gives the space back. Rejects when a file cannot be removed. */
  giveBack(): Promise<void> {
    return this.#next(async () => {
      this.#held = false
      await Promise.all(this.#paths.map((path) => rm(path, { force: true })))
    })
  }

  #next<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work)
    this.#last = done.catch(() => undefined)
    return done
  }

  async #makeOne(path: string): Promise<boolean> {
    try {
      if (await this.#isWhole(path)) return true
      await rm(path, { force: true })
      const { bavail, bsize } = await statfs(dirname(path))
      if (bavail * bsize < this.#bytes * 1.25) return false
      await this.#write(path)
      return true
    } catch {
      await rm(path, { force: true }).catch(() => undefined)
      return false
    }
  }

  /** A file with holes keeps nothing. */
  async #isWhole(path: string): Promise<boolean> {
    const found = await stat(path).catch(() => null)
    return found !== null && found.size === this.#bytes && found.blocks * 512 >= this.#bytes
  }

  /** Chance, because a file system that compresses would keep no space for anything else. Need not survive a crash. */
  async #write(path: string): Promise<void> {
    const chunk = randomBytes(Math.min(CHUNK_BYTES, this.#bytes))
    const file = await open(path, 'wx', 0o600)
    try {
      for (let left = this.#bytes; left > 0; left -= chunk.length) {
        await file.writeFile(chunk.subarray(0, Math.min(left, chunk.length)))
      }
    } finally {
      await file.close()
    }
  }
}
