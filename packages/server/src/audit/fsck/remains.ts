/** Tiles that the newest checkpoint does not need: older partial ones, and what was written for one that was never signed. */

import { readFile, readdir } from 'node:fs/promises'
import { join, relative, sep } from 'node:path'
import { HASH_BYTES, LEAF_BYTES, TILE_WIDTH, partialWidth, tilePath } from '@doorward/core'
import type { TileId } from '@doorward/core'
import { whenThere } from '../log-folder.ts'
import type { Damage } from './damage.ts'
import { difference } from './tree-walk.ts'
import type { TreeWalk } from './tree-walk.ts'

export interface RemainsParts {
  readonly folder: string
  readonly size: number
  readonly tree: Pick<TreeWalk, 'edgeOf'>
  readonly found: (damage: Damage) => void
  readonly note: (text: string) => void
}

export async function checkRemains(parts: RemainsParts): Promise<void> {
  const { folder, note } = parts
  const place = join(folder, 'tile')
  const entries = (await whenThere(readdir(place, { recursive: true, withFileTypes: true }))) ?? []
  let unsigned = 0
  for (const entry of entries) {
    if (!entry.isFile()) continue
    const path = join(entry.parentPath, entry.name)
    const id = tileOf(relative(folder, path).split(sep).join('/'))
    if (id === null) note(`${path} is no tile`)
    else if ((await checkOne(path, id, parts)) === 'unsigned') unsigned += 1
  }
  if (unsigned > 0) note(`${unsigned} tiles are of a tree that is not signed yet, and were not looked at`)
}

async function checkOne(
  path: string,
  id: TileId,
  { folder, size, tree, found }: RemainsParts,
): Promise<'checked' | 'unsigned'> {
  const { level, index, width } = id
  const below = TILE_WIDTH ** (level === 'entries' ? 0 : level)
  const full = Math.floor(size / (below * TILE_WIDTH))
  const edge = partialWidth(level === 'entries' ? 0 : level, size)
  const needed = index < full ? width === TILE_WIDTH : index === full && width === edge
  if (needed) return 'checked'
  const bytesOfOne = level === 'entries' ? LEAF_BYTES + 2 : HASH_BYTES
  const expected =
    index < full ? await whenThere(readFile(join(folder, tilePath({ ...id, width: TILE_WIDTH })))) : tree.edgeOf(level)
  if (index > full || (index === full && width > edge) || expected === null) return 'unsigned'
  const bytes = await whenThere(readFile(path))
  const below0 = level === 'entries' || level === 0
  const about = { first: below0 ? index * TILE_WIDTH : null, size: bytesOfOne, kept: 'derived' } as const
  const damage = bytes === null ? null : difference(path, bytes, expected.subarray(0, width * bytesOfOne), about)
  if (damage !== null) found(damage)
  return 'checked'
}

/** The tile that a path names; null for any other path. */
export function tileOf(path: string): TileId | null {
  const match = /^tile\/(entries|[0-9]{1,2})\/((?:x[0-9]{3}\/)*[0-9]{3})(?:\.p\/([0-9]{1,3}))?$/.exec(path)
  if (match === null) return null
  const [, name = '', digits = '', partial] = match
  const level = name === 'entries' ? 'entries' : Number(name)
  const id = { level, index: Number(digits.replaceAll(/[x/]/g, '')), width: Number(partial ?? TILE_WIDTH) } as const
  return tilePath(id) === path ? id : null
}
