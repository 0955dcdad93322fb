/**
 * Digests of programs, remembered for as long as a file has not changed. Whoever connects chooses what is read, so it is read in
 * turns: few at once, one of each user, and each for a bounded time.
 */

import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import type { BigIntStats } from 'node:fs'
import { stat } from 'node:fs/promises'
import { DoorwardError, isDoorwardError } from '@doorward/core'

export interface Program {
  /** Leads to the file as it runs. */
  readonly path: string
  readonly file: BigIntStats
  /** In whose turn it is read. */
  readonly uid: number
}

export type ReadDigest = (program: Program) => Promise<string | null>

export const digestLimits = {
  /** Of one program. */
  bytes: 1n << 30n,
  milliseconds: 60_000,
  /** Remembered. */
  kept: 64,
  /** Read at once; of one user, one. */
  atOnce: 4,
  /** Programs of one user that wait for their turn. */
  waiting: 8,
} as const

interface Waiting {
  readonly program: Program
  readonly resolve: (digest: Promise<string | null> | null) => void
}

export class ProgramDigests {
  readonly #read: ReadDigest
  readonly #kept = new Map<string, string>()
  readonly #pending = new Map<string, Promise<string | null>>()
  readonly #waiting: Waiting[] = []
  /** Users whose program is being read. */
  readonly #reading = new Set<number>()

  constructor(read: ReadDigest = hashed) {
    this.#read = read
  }

  /** Lowercase hex; null when it is not readable in time, or too large. Throws `programs_waiting` when too many of the user wait. */
  async of(program: Program): Promise<string | null> {
    const { file, uid } = program
    if (file.size > digestLimits.bytes) return null
    const key = [file.dev, file.ino, file.size, file.mtimeNs, file.ctimeNs].join(' ')
    const known = this.#kept.get(key)
    if (known !== undefined) return known
    // Of the same user alone: nobody waits for what another user has begun and may have stopped.
    const own = `${uid} ${key}`
    const begun = this.#pending.get(own)
    // It fails when the process that it was begun for has ended meanwhile.
    if (begun !== undefined) return (await begun) ?? this.of(program)
    const made = this.#inTurn(program)
    this.#pending.set(own, made)
    try {
      const digest = await made
      // What failed for one process, which may just have ended, is tried again for the next.
      if (digest !== null) this.#keep(key, digest)
      return digest
    } finally {
      this.#pending.delete(own)
    }
  }

  #keep(key: string, digest: string): void {
    const [oldest] = this.#kept.keys()
    if (this.#kept.size >= digestLimits.kept && oldest !== undefined) this.#kept.delete(oldest)
    this.#kept.set(key, digest)
  }

  async #inTurn(program: Program): Promise<string | null> {
    const { uid } = program
    if (this.#waiting.filter((one) => one.program.uid === uid).length >= digestLimits.waiting)
      throw new DoorwardError('programs_waiting', 'too many programs of one user wait to be looked at', {
        expected: `at most ${digestLimits.waiting}`,
      })
    return new Promise((resolve) => {
      this.#waiting.push({ program, resolve })
      this.#next()
    })
  }

  /** Those that came first, of users of whom none is being read. */
  #next(): void {
    while (this.#reading.size < digestLimits.atOnce) {
      const at = this.#waiting.findIndex(({ program }) => !this.#reading.has(program.uid))
      const [next] = at < 0 ? [] : this.#waiting.splice(at, 1)
      if (next === undefined) return
      const { program, resolve } = next
      this.#reading.add(program.uid)
      const read = this.#read(program).catch(() => null)
      resolve(read)
      void read.then(() => {
        this.#reading.delete(program.uid)
        this.#next()
      })
    }
  }
}

export function isTurnRefusal(error: unknown): boolean {
  return isDoorwardError(error, 'programs_waiting')
}

export function sameFile(a: BigIntStats, b: BigIntStats | null): boolean {
  return b !== null && a.dev === b.dev && a.ino === b.ino
}

async function hashed({ path, file }: Program): Promise<string | null> {
  const hash = createHash('sha256')
  const signal = AbortSignal.timeout(digestLimits.milliseconds)
  for await (const part of createReadStream(path, { signal }) as AsyncIterable<Uint8Array>) hash.update(part)
  const now = await stat(path, { bigint: true })
  return sameFile(file, now) && now.mtimeNs === file.mtimeNs ? hash.digest('hex') : null
}
