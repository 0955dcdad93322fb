/** Reading the tree back from its tiles. */

import { readFile, readdir } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import {
  DoorwardError,
  TILE_WIDTH,
  TreeEdge,
  equalBytes,
  leafHash,
  parseEntryBundle,
  parseTile,
  partialTileIds,
  rangeRoot,
  subtreesInTiles,
  tilePath,
} from '@doorward/core'
import type { Sha256, TileId } from '@doorward/core'
import { LogTree } from './log-tree.ts'

/**
 * Restores the tree of `size` from the tiles in `folder`, reading only its right edge. Throws `tile_malformed`,
 * `tree_wrong_shape` or `tile_missing` when the tiles do not hold it; whether its root is right is the caller's to ask.
 */
export async function restoreTree(sha256: Sha256, folder: string, size: number): Promise<LogTree> {
  const levels: (readonly Uint8Array[])[] = []
  for (const tile of partialTileIds(size)) {
    while (levels.length < Number(tile.level)) levels.push([])
    levels.push((await readTile(folder, tile)).slice(0, tile.width))
  }
  const width = size % TILE_WIDTH
  const leaves =
    width === 0 ? [] : await readBundle(folder, { level: 'entries', index: Math.floor(size / TILE_WIDTH), width })
  const hashes = levels[0] ?? []
  if (leaves.length !== width || leaves.some((leaf, i) => !equalBytes(leafHash(sha256, leaf), hashes[i] ?? leaf))) {
    throw new DoorwardError('tile_malformed', 'entry bundle does not hash to its tile', { where: folder })
  }
  return new LogTree(TreeEdge.restore(sha256, size, levels), leaves)
}

/** The root that the tiles of a tree give for an older `size`. Throws as `restoreTree`. */
export async function rootInTiles(sha256: Sha256, folder: string, size: number): Promise<Uint8Array> {
  return rangeRoot(
    sha256,
    [0, size],
    subtreesInTiles(sha256, size, (tile) => readTile(folder, tile)),
  )
}

async function readTile(folder: string, tile: TileId): Promise<readonly Uint8Array[]> {
  return parseTile(await readAtLeast(folder, tile))
}

async function readBundle(folder: string, tile: TileId): Promise<readonly Uint8Array[]> {
  return parseEntryBundle(await readAtLeast(folder, tile)).slice(0, tile.width)
}

// A partial tile gives way to a wider one and at last to the full one: any of them holds its hashes.
async function readAtLeast(folder: string, tile: TileId): Promise<Uint8Array> {
  const exact = join(folder, tilePath(tile))
  const found = (await tryRead(exact)) ?? (await tryRead(join(folder, tilePath({ ...tile, width: TILE_WIDTH }))))
  if (found !== null) return found
  const wider = tile.width < TILE_WIDTH ? await widthsIn(dirname(exact)) : []
  const width = wider.find((each) => each > Number(basename(exact)))
  const wide = width === undefined ? null : await tryRead(join(dirname(exact), String(width)))
  if (wide !== null) return wide
  throw new DoorwardError('tile_missing', 'a tile of the tree is missing', { where: exact })
}

async function widthsIn(folder: string): Promise<readonly number[]> {
  try {
    return (await readdir(folder))
      .map(Number)
      .filter((width) => Number.isInteger(width))
      .toSorted((a, b) => a - b)
  } catch {
    return []
  }
}

async function tryRead(path: string): Promise<Uint8Array | null> {
  try {
    return await readFile(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}
