/** The derived half of a log as it grows: the tree's right edge, its tiles and its entry bundles. */

import { TILE_WIDTH, TreeEdge, encodeEntryBundle, encodeTile, tilePath } from '@doorward/core'
import type { Checkpoint, FullTile, Sha256 } from '@doorward/core'

export interface TileFile {
  /** Relative to the log's folder, `/`-separated. */
  readonly path: string
  readonly bytes: Uint8Array
}

/** What must be on disk before a checkpoint of this size may be published. */
export interface TreeSnapshot extends Omit<Checkpoint, 'origin'> {
  /** Full tiles and bundles: what a restart builds on. */
  readonly full: readonly TileFile[]
  /** Unfinished ones, for readers: a restart derives them again. Those that an earlier snapshot wrote are left out. */
  readonly partial: readonly TileFile[]
  /** Folders of partial tiles that full tiles have replaced. */
  readonly superseded: readonly string[]
  readonly partialPaths: readonly string[]
}

/** Memory: the right edge and the full tiles since the last snapshot that was published. */
export class LogTree {
  readonly #edge: TreeEdge
  #leaves: Uint8Array[] = []
  #full: { readonly file: TileFile; readonly partials: string }[] = []
  #written = new Set<string>()

  /** `edge` must stand between two entry bundles: its size is a multiple of 256. */
  constructor(edge: TreeEdge) {
    this.#edge = edge
  }

  static empty(sha256: Sha256): LogTree {
    return new LogTree(new TreeEdge(sha256))
  }

  get size(): number {
    return this.#edge.size
  }

  /** Full tiles that await writing. */
  get pending(): number {
    return this.#full.length
  }

  root(): Uint8Array {
    return this.#edge.root()
  }

  append(leaf: Uint8Array, hash: Uint8Array): void {
    this.#leaves.push(leaf)
    for (const tile of this.#edge.append(hash)) this.#finish(tile.level, tile.index, encodeTile(tile.hashes))
    if (this.#leaves.length < TILE_WIDTH) return
    this.#finish('entries', this.#edge.size / TILE_WIDTH - 1, encodeEntryBundle(this.#leaves))
    this.#leaves = []
  }

  #finish(level: FullTile['level'] | 'entries', index: number, bytes: Uint8Array): void {
    const path = tilePath({ level, index, width: TILE_WIDTH })
    this.#full.push({ file: { path, bytes }, partials: `${path}.p` })
  }

  /** The tree as it is now. */
  snapshot(): TreeSnapshot {
    const partial: TileFile[] = this.#edge.partialTiles().map(({ level, index, hashes }) => ({
      path: tilePath({ level, index, width: hashes.length }),
      bytes: encodeTile(hashes),
    }))
    if (this.#leaves.length > 0) {
      const index = Math.floor(this.size / TILE_WIDTH)
      const path = tilePath({ level: 'entries', index, width: this.#leaves.length })
      partial.push({ path, bytes: encodeEntryBundle(this.#leaves) })
    }
    return {
      size: this.size,
      root: this.root(),
      full: this.#full.map((each) => each.file),
      partial: partial.filter((file) => !this.#written.has(file.path)),
      superseded: this.#full.map((each) => each.partials),
      partialPaths: partial.map((file) => file.path),
    }
  }

  /** Forgets full tiles that nobody will write: for judging a journal without deriving it. */
  discard(): void {
    this.#full = []
  }

  /** The files of `snapshot` are written: forget them. */
  published(snapshot: TreeSnapshot): void {
    this.#full = this.#full.slice(snapshot.full.length)
    this.#written = new Set(snapshot.partialPaths)
  }
}
