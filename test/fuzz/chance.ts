/** Chance that a seed repeats (mulberry32), and choices made with it. */

export interface Chance {
  /** At least 0, less than 1. */
  next(): number
  /** A whole number at least 0 and less than `bound`. */
  below(bound: number): number
  /** One of the items, of which there must be some. */
  of<Item>(items: readonly Item[]): Item
}

export function seeded(seed: number): Chance {
  let state = seed | 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
  const below = (bound: number): number => Math.floor(next() * bound)
  return {
    next,
    below,
    of<Item>(items: readonly Item[]): Item {
      const item = items[below(items.length)]
      if (item === undefined) throw new RangeError('nothing to choose from')
      return item
    },
  }
}
