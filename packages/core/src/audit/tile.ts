/** C2SP tlog-tiles: where tiles and entry bundles lie, what is in them, and how to find a subtree in a tile. */

import { concat } from '../bytes.ts'
import { DoorwardError } from '../error.ts'
import type { Sha256 } from '../primitives.ts'
import { HASH_BYTES, TILE_HEIGHT, TILE_WIDTH, completeRoot } from './merkle-tree.ts'
import type { ReadSubtree } from './merkle-tree.ts'

/** A tile of `width` hashes (1 to 256; below 256 it is partial) or, at level `entries`, a bundle of that many leaves. */
export interface TileId {
  readonly level: number | 'entries'
  readonly index: number
  readonly width: number
}

/** The path of a tile, `/`-separated: `tile/<L>/<N>[.p/<W>]`; index 1234067 becomes `x001/x234/067`. */
export function tilePath(tile: TileId): string {
  const groups: string[] = []
  let rest = tile.index
  do {
    groups.unshift(String(rest % 1000).padStart(3, '0'))
    rest = Math.floor(rest / 1000)
  } while (rest > 0)
  const last = groups.pop()!
  const name = [...groups.map((group) => `x${group}`), last].join('/')
  const partial = tile.width < TILE_WIDTH ? `.p/${tile.width}` : ''
  return `tile/${tile.level}/${name}${partial}`
}

/** The width of the partial tile at a level for a tree of `size`: ⌊size / 256^level⌋ mod 256. Zero: no such tile. */
export function partialWidth(level: number, size: number): number {
  return Math.floor(size / TILE_WIDTH ** level) % TILE_WIDTH
}

/** The partial tiles of a tree of `size`, lowest level first: together they are its right edge. */
export function partialTileIds(size: number): readonly TileId[] {
  const out: TileId[] = []
  for (let level = 0; TILE_WIDTH ** level <= size; level++) {
    const width = partialWidth(level, size)
    if (width > 0) out.push({ level, index: Math.floor(size / TILE_WIDTH ** (level + 1)), width })
  }
  return out
}

export function encodeTile(hashes: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  return concat(...hashes)
}

/** Splits a tile into hashes. Throws `tile_malformed` unless it is 1 to 256 whole hashes. */
export function parseTile(bytes: Uint8Array): readonly Uint8Array[] {
  const width = bytes.length / HASH_BYTES
  if (!Number.isInteger(width) || width < 1 || width > TILE_WIDTH) {
    throw tileMalformed(`1 to ${TILE_WIDTH} hashes of ${HASH_BYTES} bytes`, `${bytes.length} bytes`)
  }
  return Array.from({ length: width }, (_, i) => bytes.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES))
}

/** An entry bundle: each leaf after its length as big-endian uint16. */
export function encodeEntryBundle(leaves: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(leaves.reduce((sum, leaf) => sum + 2 + leaf.length, 0))
  let at = 0
  for (const leaf of leaves) {
    out[at] = leaf.length >> 8
    out[at + 1] = leaf.length & 0xff
    out.set(leaf, at + 2)
    at += 2 + leaf.length
  }
  return out
}

/** Splits an entry bundle into leaves. Throws `tile_malformed` on a cut entry or more than 256. */
export function parseEntryBundle(bytes: Uint8Array): readonly Uint8Array[] {
  const out: Uint8Array[] = []
  let at = 0
  while (at < bytes.length) {
    const end = at + 2 + ((bytes[at]! << 8) | (bytes[at + 1] ?? 0))
    if (at + 2 > bytes.length || end > bytes.length || out.length === TILE_WIDTH) {
      throw tileMalformed(`1 to ${TILE_WIDTH} whole entries`, `a cut at byte ${at}`)
    }
    out.push(bytes.subarray(at + 2, end))
    at = end
  }
  if (out.length === 0) throw tileMalformed('at least one entry', 'none')
  return out
}

/**
 * Finds complete subtrees in the tiles of a tree of `size`. `readTile` returns at least `width` hashes of a tile
 * (a wider or full tile of the same index will do). Throws `tile_malformed` when a tile is too narrow.
 */
export function subtreesInTiles(
  sha256: Sha256,
  size: number,
  readTile: (tile: TileId) => Promise<readonly Uint8Array[]>,
): ReadSubtree {
  return async ({ level, index }) => {
    const tileLevel = Math.floor(level / TILE_HEIGHT)
    const count = 2 ** (level % TILE_HEIGHT)
    const first = index * count
    const tileIndex = Math.floor(first / TILE_WIDTH)
    const available = Math.floor(size / TILE_WIDTH ** tileLevel) - tileIndex * TILE_WIDTH
    const width = Math.min(available, TILE_WIDTH)
    const hashes = await readTile({ level: tileLevel, index: tileIndex, width })
    const start = first % TILE_WIDTH
    if (hashes.length < start + count || width < start + count) {
      throw tileMalformed(
        `${start + count} hashes in ${tilePath({ level: tileLevel, index: tileIndex, width })}`,
        `${hashes.length}`,
      )
    }
    return completeRoot(sha256, hashes.slice(start, start + count))
  }
}

function tileMalformed(expected: string, got: string): DoorwardError {
  return new DoorwardError('tile_malformed', 'tile is not of the form of C2SP tlog-tiles', { expected, got })
}
