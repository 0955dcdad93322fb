/** Tiles and entry bundles of a log as a reader finds them, beside a writer that may be replacing partial ones. */

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DoorwardError, TILE_WIDTH, parseEntryBundle, parseTile, subtreesInTiles, tilePath } from '@doorward/core'
import type { ReadSubtree, Sha256, TileId } from '@doorward/core'
import { whenThere } from './log-folder.ts'

/** Subtrees of the tree of `size` in the tiles of `folder`. Throws `tile_missing` and `tile_malformed`. */
export function subtreesIn(folder: string, size: number, sha256: Sha256): ReadSubtree {
  return subtreesInTiles(sha256, size, async (tile) => parseTile(await readTile(folder, tile)))
}

/** The leaves of the bundle that holds entry `index` of a tree of `size`, in order. Throws as `subtreesIn`. */
export async function bundleOf(
  folder: string,
  { index, size }: { readonly index: number; readonly size: number },
): Promise<{ readonly first: number; readonly leaves: readonly Uint8Array[] }> {
  const bundle = Math.floor(index / TILE_WIDTH)
  const first = bundle * TILE_WIDTH
  const width = Math.min(TILE_WIDTH, size - first)
  return { first, leaves: parseEntryBundle(await readTile(folder, { level: 'entries', index: bundle, width })) }
}

/** The leaf of entry `index` in a tree of `size`. Throws as `subtreesIn`. */
export async function leafOf(
  folder: string,
  at: { readonly index: number; readonly size: number },
): Promise<Uint8Array> {
  const { first, leaves } = await bundleOf(folder, at)
  const leaf = leaves[at.index - first]
  if (leaf !== undefined) return leaf
  throw new DoorwardError('tile_malformed', `the bundle does not hold entry ${at.index}`, { where: folder })
}

/** A partial tile is removed once the full one exists, which begins with the same hashes. */
async function readTile(folder: string, tile: TileId): Promise<Uint8Array> {
  const path = join(folder, tilePath(tile))
  const found =
    (await whenThere(readFile(path))) ??
    (await whenThere(readFile(join(folder, tilePath({ ...tile, width: TILE_WIDTH })))))
  if (found !== null) return found
  throw new DoorwardError('tile_missing', 'a tile that the checkpoint needs is missing', {
    where: path,
    next: 'doorward audit verify',
  })
}
