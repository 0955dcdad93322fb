/** Bytes that arrive in pieces of any size, kept in one place at a cost linear in their number. */

const FIRST = 4096
const MOST_KEPT = 64 * 1024

export class GrowingBytes {
  #bytes = new Uint8Array(0)
  #start = 0
  #end = 0

  get length(): number {
    return this.#end - this.#start
  }

  append(chunk: Uint8Array): void {
    if (this.#end + chunk.length > this.#bytes.length) this.#makeRoom(chunk.length)
    this.#bytes.set(chunk, this.#end)
    this.#end += chunk.length
  }

  /** What is held, valid until the next `append`. */
  view(): Uint8Array {
    return this.#bytes.subarray(this.#start, this.#end)
  }

  /** Removes the first bytes and returns them as a copy of their own. */
  take(count: number): Uint8Array {
    const taken = this.#bytes.slice(this.#start, this.#start + count)
    this.#start += count
    if (this.#start === this.#end) {
      this.#start = 0
      this.#end = 0
      // What one large message has needed is not kept for the next.
      if (this.#bytes.length > MOST_KEPT) this.#bytes = new Uint8Array(0)
    }
    return taken
  }

  #makeRoom(more: number): void {
    const needed = this.length + more
    const size = Math.max(FIRST, needed * 2)
    const target = needed * 2 <= this.#bytes.length ? this.#bytes : new Uint8Array(size)
    target.set(this.#bytes.subarray(this.#start, this.#end), 0)
    this.#bytes = target
    this.#end -= this.#start
    this.#start = 0
  }
}
