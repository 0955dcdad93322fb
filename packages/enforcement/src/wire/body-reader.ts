/** Request bodies as they arrive: within a limit, fast enough, and not in crumbs. */

import type { IncomingMessage } from 'node:http'
import { deny } from '../denial.ts'
import type { Denial } from '../denial.ts'
import { GrowingBytes } from './growing-bytes.ts'

interface Reading {
  readonly startedAt: number
  size: number
  readonly tooSlow: () => void
}

export interface BodyRules {
  /** The least that must have come, in bytes per second; 1024 by default. */
  readonly bytesPerSecond: number
  /** How long a body may be slower; 5000 by default. */
  readonly graceMilliseconds: number
}

export const defaultBodyRules: BodyRules = { bytesPerSecond: 1024, graceMilliseconds: 5000 }

/** So many pieces may come of any size. */
const FREE_PIECES = 1024
/** Those after them must be of this size on average: what comes byte by byte costs a thousand times its size. */
const PIECE_BYTES = 64
/** So many are kept as they came; further ones are put together. */
const KEPT_PIECES = 16

/** The bodies of one listener that are being read. */
export class BodyReader {
  readonly #rules: BodyRules
  readonly #monotonic: () => number
  /** Bounded by the connections: each reads one at a time. */
  readonly #reading = new Set<Reading>()

  constructor(monotonic: () => number, rules: BodyRules = defaultBodyRules) {
    this.#monotonic = monotonic
    this.#rules = rules
  }

  /** To be called about once a second: bodies that come too slowly end. */
  look(): void {
    const { bytesPerSecond, graceMilliseconds } = this.#rules
    const now = this.#monotonic()
    for (const { startedAt, size, tooSlow } of this.#reading) {
      const took = now - startedAt
      if (took > graceMilliseconds && size < (took / 1000) * bytesPerSecond) tooSlow()
    }
  }

  /** The complete body, once. Denials: `body_too_large`, `body_aborted`, `body_slow`, `request_malformed`. */
  read(request: IncomingMessage, declared: string | undefined, limitBytes: number): Promise<Uint8Array | Denial> {
    const tooLarge = () => deny('body_too_large', `at most ${limitBytes} bytes are accepted`)
    if (declared !== undefined && Number(declared) > limitBytes) return Promise.resolve(tooLarge())
    // Whoever went away while the token was judged has sent its last event already.
    if (request.destroyed) return Promise.resolve(deny('body_aborted', 'the connection ended before the body was read'))
    // A request without a body is whole with its head.
    if (request.complete && request.readableLength === 0) return Promise.resolve(new Uint8Array(0))
    return new Promise((resolve) => {
      const pieces = new Pieces()
      const settle = (result: Uint8Array | Denial) => {
        this.#reading.delete(reading)
        request.off('data', onData).off('end', onEnd).off('close', onAborted).off('error', onAborted)
        resolve(result)
      }
      const stop = (denial: Denial) => {
        request.pause()
        settle(denial)
      }
      const tooSlow = () => stop(deny('body_slow', `${reading.size} bytes of the body have come`))
      const reading: Reading = { startedAt: this.#monotonic(), size: 0, tooSlow }
      this.#reading.add(reading)
      const onData = (chunk: Buffer) => {
        reading.size += chunk.length
        if (reading.size > limitBytes) return stop(tooLarge())
        if (!pieces.add(chunk)) stop(deny('request_malformed', 'the body comes in too small pieces'))
      }
      const onEnd = () => settle(pieces.whole())
      const onAborted = () =>
        settle(deny('body_aborted', `the connection ended after ${reading.size} bytes of the body`))
      request.on('data', onData).on('end', onEnd).on('close', onAborted).on('error', onAborted)
    })
  }
}

/** Few pieces are kept as they are; of many, none outlives its bytes. */
class Pieces {
  #kept: Buffer[] = []
  #joined: GrowingBytes | null = null
  #count = 0
  #size = 0

  /** False when they are too many for their bytes. */
  add(chunk: Buffer): boolean {
    this.#count++
    this.#size += chunk.length
    if (this.#count - FREE_PIECES > this.#size / PIECE_BYTES) return false
    if (this.#joined !== null) this.#joined.append(chunk)
    else if (this.#kept.push(chunk) > KEPT_PIECES) this.#join()
    return true
  }

  whole(): Uint8Array {
    if (this.#joined !== null) return this.#joined.take(this.#joined.length)
    const [only] = this.#kept
    return only !== undefined && this.#kept.length === 1 ? only : Buffer.concat(this.#kept, this.#size)
  }

  #join(): void {
    this.#joined = new GrowingBytes()
    for (const chunk of this.#kept) this.#joined.append(chunk)
    this.#kept = []
  }
}
