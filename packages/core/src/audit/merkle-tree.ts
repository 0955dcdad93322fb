/** The Merkle tree of RFC 6962 §2.1: hashing, and the right edge that grows by one leaf at a time. */

import { DoorwardError } from '../error.ts'
import type { Sha256 } from '../primitives.ts'

export const HASH_BYTES = 32
/** C2SP tlog-tiles: a full tile holds 256 hashes, a subtree of height 8. */
export const TILE_WIDTH = 256
export const TILE_HEIGHT = 8

/** RFC 6962: MTH({}) = SHA-256(). */
export function emptyRoot(sha256: Sha256): Uint8Array {
  return sha256(new Uint8Array(0))
}

/** RFC 6962: SHA-256(0x00 ‖ leaf). */
export function leafHash(sha256: Sha256, leaf: Uint8Array): Uint8Array {
  const input = new Uint8Array(1 + leaf.length)
  input.set(leaf, 1)
  return sha256(input)
}

/** Input of `nodeHash`, overwritten by the next: it is made for every entry. */
const nodeInput = new Uint8Array(1 + 2 * HASH_BYTES)
nodeInput[0] = 1

/** RFC 6962: SHA-256(0x01 ‖ left ‖ right). */
export function nodeHash(sha256: Sha256, left: Uint8Array, right: Uint8Array): Uint8Array {
  nodeInput.set(left, 1)
  nodeInput.set(right, 1 + HASH_BYTES)
  return sha256(nodeInput)
}

/** The root of a complete subtree from its hashes at one level; their number must be a power of two. */
export function completeRoot(sha256: Sha256, hashes: readonly Uint8Array[]): Uint8Array {
  let row = hashes
  while (row.length > 1) {
    const next: Uint8Array[] = []
    for (let i = 0; i + 1 < row.length; i += 2) next.push(nodeHash(sha256, row[i]!, row[i + 1]!))
    if (row.length % 2 !== 0) throw wrongShape('a power of two hashes', `${hashes.length}`)
    row = next
  }
  if (row[0] === undefined) throw wrongShape('at least one hash', 'none')
  return row[0]
}

/** Folds the complete subtrees of a range, largest first, into the range's root (RFC 6962 §2.1). */
export function foldPeaks(sha256: Sha256, peaks: readonly Uint8Array[]): Uint8Array {
  let root = peaks.at(-1)
  if (root === undefined) return emptyRoot(sha256)
  for (let i = peaks.length - 2; i >= 0; i--) root = nodeHash(sha256, peaks[i]!, root)
  return root
}

/** A complete subtree: `level` is its height, `index` counts subtrees of that height from the left. */
export interface SubtreeId {
  readonly level: number
  readonly index: number
}

/** The complete subtrees that make up the leaves [from, to), left to right. `from` must be aligned as in a proof. */
export function subtreesOf(from: number, to: number): readonly SubtreeId[] {
  const out: SubtreeId[] = []
  let at = from
  while (at < to) {
    let level = 0
    let width = 1
    while (at % (width * 2) === 0 && at + width * 2 <= to) {
      width *= 2
      level += 1
    }
    out.push({ level, index: at / width })
    at += width
  }
  return out
}

/** Reads the hash of a complete subtree, for instance out of tiles. */
export type ReadSubtree = (id: SubtreeId) => Promise<Uint8Array>

/** The root over the leaves [from, to) of a stored tree. */
export async function rangeRoot(
  sha256: Sha256,
  range: readonly [number, number],
  read: ReadSubtree,
): Promise<Uint8Array> {
  return foldPeaks(sha256, await Promise.all(subtreesOf(range[0], range[1]).map((id) => read(id))))
}

/** A tile that has just become full. `hashes` are its 256 hashes. */
export interface FullTile {
  readonly level: number
  readonly index: number
  readonly hashes: readonly Uint8Array[]
}

/**
 * The right edge of a growing tree: its peaks and its unfinished tiles. Memory is logarithmic in the size;
 * one leaf costs one node hash on average.
 */
export class TreeEdge {
  readonly #sha256: Sha256
  #size = 0
  // #peaks[level] is the complete subtree of that height that awaits its right sibling.
  readonly #peaks: (Uint8Array | null)[] = []
  readonly #tiles: Uint8Array[][] = []

  constructor(sha256: Sha256) {
    this.#sha256 = sha256
  }

  /**
   * The edge of a stored tree. `tiles[level]` holds the hashes of the partial tile of that level, in order, which
   * C2SP tlog-tiles defines as ⌊size / 256^level⌋ mod 256. Throws `tree_wrong_shape` when a count does not match.
   */
  static restore(sha256: Sha256, size: number, tiles: readonly (readonly Uint8Array[])[]): TreeEdge {
    const edge = new TreeEdge(sha256)
    let span = size
    for (let level = 0; span > 0; level++, span = Math.floor(span / TILE_WIDTH)) {
      const hashes = tiles[level] ?? []
      if (hashes.length !== span % TILE_WIDTH) throw wrongShape(`${span % TILE_WIDTH} hashes`, `${hashes.length}`)
      edge.#tiles.push([...hashes])
      edge.#restorePeaks(level, hashes)
    }
    edge.#size = size
    return edge
  }

  #restorePeaks(tileLevel: number, hashes: readonly Uint8Array[]): void {
    let at = 0
    for (let height = TILE_HEIGHT - 1; height >= 0; height--) {
      const width = 2 ** height
      if (Math.floor(hashes.length / width) % 2 === 0) continue
      this.#setPeak(tileLevel * TILE_HEIGHT + height, completeRoot(this.#sha256, hashes.slice(at, at + width)))
      at += width
    }
  }

  get size(): number {
    return this.#size
  }

  /** Adds a leaf by its hash and returns the tiles that this leaf completed, lowest level first. */
  append(hash: Uint8Array): readonly FullTile[] {
    const full: FullTile[] = []
    this.#size += 1
    this.#addToTile(0, hash, full)
    let carried = hash
    let level = 0
    for (let left = this.#peaks[0]; left != null; left = this.#peaks[level]) {
      carried = nodeHash(this.#sha256, left, carried)
      this.#peaks[level] = null
      level += 1
      if (level % TILE_HEIGHT === 0) this.#addToTile(level / TILE_HEIGHT, carried, full)
    }
    this.#setPeak(level, carried)
    return full
  }

  #addToTile(level: number, hash: Uint8Array, full: FullTile[]): void {
    const hashes = (this.#tiles[level] ??= [])
    hashes.push(hash)
    if (hashes.length < TILE_WIDTH) return
    full.push({ level, index: this.#size / TILE_WIDTH ** (level + 1) - 1, hashes })
    this.#tiles[level] = []
  }

  #setPeak(level: number, hash: Uint8Array): void {
    while (this.#peaks.length <= level) this.#peaks.push(null)
    this.#peaks[level] = hash
  }

  root(): Uint8Array {
    return foldPeaks(this.#sha256, this.#peaks.filter((peak) => peak !== null).reverse())
  }

  /** The unfinished tiles, lowest level first; levels whose partial tile is empty are left out. */
  partialTiles(): readonly FullTile[] {
    const out: FullTile[] = []
    for (const [level, hashes] of this.#tiles.entries()) {
      if (hashes.length > 0)
        out.push({ level, index: Math.floor(this.#size / TILE_WIDTH ** (level + 1)), hashes: [...hashes] })
    }
    return out
  }
}

function wrongShape(expected: string, got: string): DoorwardError {
  return new DoorwardError('tree_wrong_shape', 'hashes do not make up the tree', { expected, got })
}
