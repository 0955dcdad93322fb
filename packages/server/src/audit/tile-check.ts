/** Comparing tiles and entry bundles on disk with what the journal derives. */

import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import {
  TILE_WIDTH,
  encodeEntryBundle,
  encodeTile,
  equalBytes,
  parseEntryBundle,
  parseTile,
  tilePath,
} from '@doorward/core'
import type { FullTile, TileId } from '@doorward/core'
import { whenThere } from './log-folder.ts'
import type { Problem } from './problem.ts'

/** Checks the hashes of one tile, full or partial; null when they are there and right. */
export async function checkTile(folder: string, tile: FullTile): Promise<Problem | null> {
  const id = { level: tile.level, index: tile.index, width: tile.hashes.length }
  return check(folder, id, { expected: encodeTile(tile.hashes), parts: tile.hashes, parse: parseTile })
}

/** Checks the leaves of one entry bundle, full or partial; null when they are there and right. */
export async function checkBundle(
  folder: string,
  index: number,
  leaves: readonly Uint8Array[],
): Promise<Problem | null> {
  const id = { level: 'entries', index, width: leaves.length } as const
  return check(folder, id, { expected: encodeEntryBundle(leaves), parts: leaves, parse: parseEntryBundle })
}

interface Expectation {
  readonly expected: Uint8Array
  readonly parts: readonly Uint8Array[]
  readonly parse: (bytes: Uint8Array) => readonly Uint8Array[]
}

async function check(folder: string, id: TileId, { expected, parts, parse }: Expectation): Promise<Problem | null> {
  const path = join(folder, tilePath(id))
  const exact = await whenThere(readFile(path))
  // A partial tile may be removed once the full one exists.
  const found = exact ?? (await whenThere(readFile(join(folder, tilePath({ ...id, width: TILE_WIDTH })))))
  if (found === null)
    return { code: 'tile_missing', where: path, message: 'a tile that the checkpoint needs is missing' }
  const same = exact === null ? equalBytes(found.subarray(0, expected.length), expected) : equalBytes(found, expected)
  if (same) return null
  const at = firstDifference(found, { parts, parse })
  const names = id.level === 'entries' || id.level === 0
  const message = names
    ? `entry ${id.index * TILE_WIDTH + at} is not the one in the journal`
    : `hash ${at} does not follow from the journal`
  return { code: 'tile_differs', where: exact === null ? dirname(path) : path, message }
}

function firstDifference(bytes: Uint8Array, { parts, parse }: Pick<Expectation, 'parts' | 'parse'>): number {
  let found: readonly Uint8Array[] = []
  try {
    found = parse(bytes)
  } catch {
    // Not even in form: it differs from its start.
  }
  const at = parts.findIndex((part, i) => found[i] === undefined || !equalBytes(part, found[i]))
  return at < 0 ? parts.length : at
}
