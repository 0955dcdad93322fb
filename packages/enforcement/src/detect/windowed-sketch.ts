/**
 * How often each of any number of keys was seen within a window that slides, in memory of a fixed size: a count-min sketch
 * (Cormode and Muthukrishnan, 2005) for each slot of a ring, and their sum.
 *
 * Never too little: whoever was seen n times within the window is estimated at n or more, whatever else comes; nobody can
 * push another out. Too much only by collisions in all four rows, which `seed` keeps from being chosen: with a width of
 * 16,384 nobody innocent reaches 20 before about 150,000 other keys come within one window. Up to a sixth of the window
 * longer counts, too. Estimates end at 65,535.
 */

const ROWS = 4
/** Slots of a window; one more is being filled. */
const SLOTS = 6
const RING = SLOTS + 1
const MOST = 65_535

export interface SketchOptions {
  readonly windowMilliseconds: number
  /** Cells of a row: a power of two. Each costs 72 bytes. */
  readonly width: number
  /** 32 random bits. */
  readonly seed: number
}

export class WindowedSketch {
  readonly #slotMilliseconds: number
  readonly #mask: number
  readonly #width: number
  readonly #seed: number
  readonly #rings: readonly Uint16Array[]
  readonly #sums: Uint32Array
  readonly #used = new Uint8Array(RING)
  readonly #cells = new Uint32Array(ROWS)
  #slot = Number.NaN

  constructor({ windowMilliseconds, width, seed }: SketchOptions) {
    if (width < 2 || (width & (width - 1)) !== 0) throw new RangeError('the width of a sketch is a power of two')
    this.#slotMilliseconds = windowMilliseconds / SLOTS
    this.#width = width
    this.#mask = width - 1
    this.#seed = seed
    this.#rings = Array.from({ length: RING }, () => new Uint16Array(ROWS * width))
    this.#sums = new Uint32Array(ROWS * width)
  }

  /** Bytes of all counts, which never change in number. */
  get bytes(): number {
    return this.#rings.reduce((sum, { byteLength }) => sum + byteLength, this.#sums.byteLength)
  }

  /** Counts one; the estimate with it. `now`: milliseconds that never go back. */
  add(key: string, now: number): number {
    this.#advance(now)
    this.#locate(key)
    const ring = this.#slot % RING
    const counts = this.#rings[ring] as Uint16Array
    this.#used[ring] = 1
    let least = MOST
    for (let row = 0; row < ROWS; row++) {
      const cell = this.#cells[row] as number
      const count = counts[cell] as number
      if (count < MOST) {
        counts[cell] = count + 1
        this.#sums[cell] = (this.#sums[cell] as number) + 1
      }
      least = Math.min(least, this.#sums[cell] as number)
    }
    return least
  }

  estimate(key: string, now: number): number {
    this.#advance(now)
    this.#locate(key)
    let least = MOST
    for (let row = 0; row < ROWS; row++) least = Math.min(least, this.#sums[this.#cells[row] as number] as number)
    return least
  }

  #advance(now: number): void {
    const slot = Math.floor(now / this.#slotMilliseconds)
    if (slot === this.#slot) return
    const passed = Number.isNaN(this.#slot) ? 0 : slot - this.#slot
    // A time that goes back counts where the newest did.
    if (passed < 0) return
    for (let step = 0; step < Math.min(passed, RING); step++) this.#forget((slot - step) % RING)
    this.#slot = slot
  }

  #forget(ring: number): void {
    if (this.#used[ring] === 0) return
    const counts = this.#rings[ring] as Uint16Array
    for (let cell = 0; cell < counts.length; cell++)
      this.#sums[cell] = (this.#sums[cell] as number) - (counts[cell] as number)
    counts.fill(0)
    this.#used[ring] = 0
  }

  /** One cell of each row, from two hashes of the key (Kirsch and Mitzenmacher, 2006). */
  #locate(key: string): void {
    let a = this.#seed | 0
    let b = ~this.#seed | 0
    for (let i = 0; i < key.length; i++) {
      const code = key.charCodeAt(i)
      a = Math.imul(a ^ code, 0x9e3779b1)
      a ^= a >>> 15
      b = Math.imul(b ^ code, 0x85ebca6b)
      b ^= b >>> 13
    }
    b |= 1
    for (let row = 0; row < ROWS; row++) {
      let mixed = Math.imul(a + Math.imul(row, b), 0xc2b2ae35)
      mixed ^= mixed >>> 16
      this.#cells[row] = row * this.#width + (mixed & this.#mask)
    }
  }
}
