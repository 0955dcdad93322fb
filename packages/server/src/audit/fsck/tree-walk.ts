/**
 * Deriving the tree of a log from whatever of it is whole: each entry from the journal, its bundle and its tile, which
 * must agree, and where one does not, the others say which; at the end the signed root says whether that was right.
 */

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  HASH_BYTES,
  LEAF_BYTES,
  TILE_WIDTH,
  TreeEdge,
  completeRoot,
  encodeEntryBundle,
  encodeTile,
  equalBytes,
  isDoorwardError,
  leafHash,
  parseEntryBundle,
  tilePath,
} from '@doorward/core'
import type { FullTile, Sha256, TileId } from '@doorward/core'
import { whenThere } from '../log-folder.ts'
import type { Damage } from './damage.ts'

export interface TreeWalkParts {
  readonly folder: string
  /** Entries that the newest checkpoint covers. */
  readonly size: number
  readonly sha256: Sha256
  readonly found: (damage: Damage) => void
  /** Told of every size that a checkpoint may speak of. */
  readonly onSize: (size: number, root: () => Uint8Array) => void
}

/** What the journal has of an entry. */
export interface JournalLeaf {
  readonly leaf: Uint8Array
  readonly file: string
  readonly offset: number
}

interface Source {
  readonly path: string
  readonly bytes: Uint8Array | null
  /** By position in the block; null where there is none. */
  readonly hashes: readonly (Uint8Array | null)[]
}

interface Block {
  readonly first: number
  readonly width: number
  readonly journal: readonly (JournalLeaf | null)[]
  readonly bundle: Source & { readonly leaves: readonly (Uint8Array | null)[] }
  readonly tile: Source
}

export class TreeWalk {
  readonly #parts: TreeWalkParts
  readonly #edge: TreeEdge
  #block: (JournalLeaf | null)[] = []
  /** The leaves of the last block, as far as they are known: what partial bundles begin with. */
  #last: readonly (Uint8Array | null)[] = []

  constructor(parts: TreeWalkParts) {
    this.#parts = parts
    this.#edge = new TreeEdge(parts.sha256)
  }

  /** The entry that is taken next. */
  get next(): number {
    return this.#edge.size + this.#block.length
  }

  /** Takes the entries in order; null for one that the journal does not hold. Those that no checkpoint covers are left out. */
  async take(entry: JournalLeaf | null): Promise<void> {
    const { size } = this.#parts
    if (this.next >= size) return
    this.#block.push(entry)
    if (this.#block.length === TILE_WIDTH || this.next === size) await this.#settle()
  }

  /** After the last entry: the right edge. */
  async finish(): Promise<void> {
    while (this.next < this.#parts.size) await this.take(null)
    for (const tile of this.#edge.partialTiles()) if (tile.level > 0) await this.#compare(tile)
  }

  async #settle(): Promise<void> {
    const { size, onSize } = this.#parts
    const first = this.#edge.size
    const journal = this.#block
    this.#block = []
    const width = Math.min(TILE_WIDTH, size - first)
    const block = await this.#read(first, width, journal)
    const hashes = await this.#decide(block)
    const leaves = this.#judge(block, hashes)
    this.#last = leaves
    for (const hash of hashes) {
      for (const tile of this.#edge.append(hash)) if (tile.level > 0) await this.#compare(tile)
      onSize(this.#edge.size, () => this.#edge.root())
    }
  }

  async #read(first: number, width: number, journal: readonly (JournalLeaf | null)[]): Promise<Block> {
    const { sha256 } = this.#parts
    const index = first / TILE_WIDTH
    const bundle = await this.#file({ level: 'entries', index, width }, width * (LEAF_BYTES + 2))
    const tile = await this.#file({ level: 0, index, width }, width * HASH_BYTES)
    const leaves = leavesIn(bundle.bytes, width)
    const slots = Array.from({ length: width }, (_, i) => i)
    return {
      first,
      width,
      journal,
      bundle: { ...bundle, leaves, hashes: leaves.map((leaf) => (leaf === null ? null : leafHash(sha256, leaf))) },
      tile: {
        ...tile,
        hashes: slots.map((i) => {
          const hash = tile.bytes?.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES)
          return hash?.length === HASH_BYTES ? hash : null
        }),
      },
    }
  }

  /** A partial tile may be removed once the full one exists, which begins with the same: then as much of that. */
  async #file(id: TileId, length: number): Promise<{ readonly path: string; readonly bytes: Uint8Array | null }> {
    const { folder } = this.#parts
    const path = join(folder, tilePath(id))
    const exact = await whenThere(readFile(path))
    if (exact !== null || id.width === TILE_WIDTH) return { path, bytes: exact }
    const full = join(folder, tilePath({ ...id, width: TILE_WIDTH }))
    const bytes = await whenThere(readFile(full))
    return bytes === null ? { path, bytes: null } : { path: full, bytes: bytes.subarray(0, length) }
  }

  /** What two of three say; what is disputed, as the tile above says; otherwise the journal, which has a checksum. */
  async #decide(block: Block): Promise<readonly Uint8Array[]> {
    const { sha256 } = this.#parts
    const own = block.journal.map((entry) => (entry === null ? null : leafHash(sha256, entry.leaf)))
    const sources = [own, block.bundle.hashes, block.tile.hashes]
    const above = block.width === TILE_WIDTH ? await this.#above(block.first / TILE_WIDTH) : null
    for (const source of above === null ? [] : sources) {
      if (source.some((hash) => hash === null)) continue
      const hashes = source.filter((hash) => hash !== null)
      if (equalBytes(completeRoot(sha256, hashes), above!)) return hashes
    }
    return own.map((hash, i) => {
      const [bundle, tile] = [block.bundle.hashes[i] ?? null, block.tile.hashes[i] ?? null]
      if (bundle !== null && tile !== null && equalBytes(bundle, tile)) return bundle
      return hash ?? tile ?? bundle ?? new Uint8Array(HASH_BYTES)
    })
  }

  /** The hash of a full block in the tile above it; null where there is none. */
  async #above(block: number): Promise<Uint8Array | null> {
    const { folder, size } = this.#parts
    const index = Math.floor(block / TILE_WIDTH)
    const width = Math.min(TILE_WIDTH, Math.floor(size / TILE_WIDTH) - index * TILE_WIDTH)
    const bytes =
      (await whenThere(readFile(join(folder, tilePath({ level: 1, index, width }))))) ??
      (await whenThere(readFile(join(folder, tilePath({ level: 1, index, width: TILE_WIDTH })))))
    const at = (block % TILE_WIDTH) * HASH_BYTES
    const hash = bytes?.subarray(at, at + HASH_BYTES)
    return hash?.length === HASH_BYTES ? hash : null
  }

  /** Tells what of a block is not what was decided. Returns its leaves. */
  #judge(
    { first, width, journal, bundle, tile }: Block,
    hashes: readonly Uint8Array[],
  ): readonly (Uint8Array | null)[] {
    const { found, sha256 } = this.#parts
    const leaves = hashes.map((hash, i) => {
      const entry = journal[i] ?? null
      if (entry !== null && equalBytes(leafHash(sha256, entry.leaf), hash)) return entry.leaf
      if (entry !== null) found(changed(entry, first + i))
      const kept = bundle.leaves[i] ?? null
      return kept !== null && equalBytes(bundle.hashes[i] ?? kept, hash) ? kept : null
    })
    const known = leaves.filter((leaf) => leaf !== null)
    const whole = known.length === width
    this.#told(tile, encodeTile(hashes), { first, size: HASH_BYTES, kept: 'derived' })
    if (whole) this.#told(bundle, encodeEntryBundle(known), { first, size: LEAF_BYTES + 2, kept: 'derived' })
    else {
      const missing = leaves.flatMap((leaf, i) => (leaf === null ? [first + i] : []))
      const entries = { first: missing[0]!, end: missing.at(-1)! + 1 }
      const message = 'time and digest of these entries are nowhere any more; their place is proven by the tiles'
      found({ code: 'tile_damaged', file: bundle.path, bytes: null, entries, kept: 'leaves', message })
    }
    return leaves
  }

  #told(
    { path, bytes }: Pick<Source, 'path' | 'bytes'>,
    expected: Uint8Array,
    of: { readonly first: number; readonly size: number; readonly kept: Damage['kept'] },
  ): void {
    const damage = difference(path, bytes, expected, of)
    if (damage !== null) this.#parts.found(damage)
  }

  async #compare({ level, index, hashes }: FullTile): Promise<void> {
    const width = hashes.length
    const file = await this.#file({ level, index, width }, width * HASH_BYTES)
    const expected = encodeTile(hashes)
    const damage = difference(file.path, file.bytes, expected, { first: null, size: HASH_BYTES, kept: 'derived' })
    if (damage !== null) this.#parts.found(damage)
  }

  /** What a tile that nobody needs any more must begin with; null where that is not known here. */
  edgeOf(level: TileId['level']): Uint8Array | null {
    if (level === 'entries') {
      const known = this.#last.filter((leaf) => leaf !== null)
      return known.length === this.#last.length ? encodeEntryBundle(known) : null
    }
    const partial = this.#edge.partialTiles().find((tile) => tile.level === level)
    return partial === undefined ? null : encodeTile(partial.hashes)
  }
}

function changed({ file, offset }: JournalLeaf, index: number): Damage {
  return {
    code: 'entry_changed',
    file,
    bytes: { from: offset, to: offset + 1 },
    entries: { first: index, end: index + 1 },
    kept: 'tree',
    message: `the frame is whole, and says something else than entry ${index} that was signed`,
  }
}

/** The leaves of a bundle as far as they can be read. */
function leavesIn(bytes: Uint8Array | null, width: number): readonly (Uint8Array | null)[] {
  const slots = Array.from({ length: width }, (_, i) => i)
  try {
    const leaves = bytes === null ? [] : parseEntryBundle(bytes)
    return slots.map((i) => leaves[i] ?? null)
  } catch (error) {
    if (!isDoorwardError(error)) throw error
  }
  // Leaves of this version are of one length: where a length field is damaged, the others still stand where they stood.
  return slots.map((i) => {
    const leaf = bytes?.subarray(i * (LEAF_BYTES + 2) + 2, (i + 1) * (LEAF_BYTES + 2))
    return leaf?.length === LEAF_BYTES ? leaf : null
  })
}

/** Null when the bytes are what is expected. `size`: bytes of one hash or leaf; `first`: the entry of the first one. */
export function difference(
  file: string,
  bytes: Uint8Array | null,
  expected: Uint8Array,
  { first, size, kept }: { readonly first: number | null; readonly size: number; readonly kept: Damage['kept'] },
): Damage | null {
  if (bytes === null)
    return {
      code: 'tile_missing',
      file,
      bytes: null,
      entries: null,
      kept,
      message: 'a tile that the checkpoint needs is missing',
    }
  if (equalBytes(bytes, expected)) return null
  const length = Math.max(bytes.length, expected.length)
  let from = 0
  while (bytes[from] === expected[from]) from += 1
  let to = length
  if (bytes.length === expected.length) while (bytes[to - 1] === expected[to - 1]) to -= 1
  const entries =
    first === null ? null : { first: first + Math.floor(from / size), end: first + Math.floor((to - 1) / size) + 1 }
  const message =
    bytes.length === expected.length ? 'not what was signed' : `${bytes.length} bytes, expected ${expected.length}`
  return { code: 'tile_damaged', file, bytes: { from, to }, entries, kept, message }
}
