/** Reading the tree back from its full tiles. Partial tiles are never trusted: what they hold is derived again. */

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  DoorwardError,
  TILE_WIDTH,
  TreeEdge,
  completeRoot,
  parseTile,
  partialTileIds,
  rangeRoot,
  subtreesInTiles,
  tilePath,
} from '@doorward/core'
import type { ReadSubtree, Sha256, TileId } from '@doorward/core'
import { LogTree } from './log-tree.ts'

export interface StoredTree {
  readonly tree: LogTree
  /** Subtrees of the first entries, as many as the tree had when it was restored. Throws as `restoreTree`. */
  readonly read: ReadSubtree
  /** The root that the tiles give for an older size, at most that of `tree`. Throws as `restoreTree`. */
  readonly rootAt: (size: number) => Promise<Uint8Array>
}

/**
 * Restores the tree over the full bundles of the first `size` entries: its size is the next lower multiple of 256.
 * Reads the right edge only, at most 255 tiles per level. Throws `tile_malformed` or `tile_missing` when the tiles do
 * not hold it; whether what they hold is right shows when the tree reaches a signed size.
 */
export async function restoreTree(sha256: Sha256, folder: string, size: number): Promise<StoredTree> {
  const whole = size - (size % TILE_WIDTH)
  const levels: (readonly Uint8Array[])[] = []
  for (const { level, index, width } of partialTileIds(whole)) {
    while (levels.length < Number(level)) levels.push([])
    // Each hash of a partial tile is the root of a full tile below it.
    const below = Array.from({ length: width }, (_, i) => ({
      level: Number(level) - 1,
      index: index * TILE_WIDTH + i,
      width: TILE_WIDTH,
    }))
    levels.push(await Promise.all(below.map(async (tile) => completeRoot(sha256, await readFullTile(folder, tile)))))
  }
  const read = subtreesInTiles(sha256, whole, async (tile) =>
    tile.width === TILE_WIDTH ? readFullTile(folder, tile) : (levels[Number(tile.level)] ?? []),
  )
  return {
    tree: new LogTree(TreeEdge.restore(sha256, whole, levels)),
    read,
    rootAt: (older) => rangeRoot(sha256, [0, older], read),
  }
}

async function readFullTile(folder: string, tile: TileId): Promise<readonly Uint8Array[]> {
  const path = join(folder, tilePath(tile))
  let bytes: Uint8Array
  try {
    bytes = await readFile(path)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw cause
    throw new DoorwardError('tile_missing', 'a tile of the tree is missing', { where: path, cause })
  }
  const hashes = parseTile(bytes)
  if (hashes.length === TILE_WIDTH) return hashes
  throw new DoorwardError('tile_malformed', 'a full tile is cut short', { where: path })
}
