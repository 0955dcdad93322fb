/** Publishing how far the log has come: tiles first, then the second copy, then the log's own checkpoint. */

import { join } from 'node:path'
import { CHECKPOINT_FILE, DoorwardError, equalBytes, openCheckpoint, signCheckpoint, utf8 } from '@doorward/core'
import type { NoteSigner, NoteVerifier, SignedCheckpoint } from '@doorward/core'
import type { CheckpointStore } from './checkpoint-store.ts'
import type { FileContent, RecordDisk } from './disk.ts'
import type { TileFile, TreeSnapshot } from './log-tree.ts'

export interface PublisherParts {
  readonly folder: string
  readonly disk: RecordDisk
  readonly store: CheckpointStore
  readonly signer: NoteSigner
  readonly verifier: NoteVerifier
}

/** One at a time per log. */
export class CheckpointPublisher {
  readonly #parts: PublisherParts
  // What the second copy is believed to hold, and what a swap that failed halfway may have left there.
  #copy: string | null
  #attempted: string | null = null

  constructor(parts: PublisherParts, copy: string | null) {
    this.#parts = parts
    this.#copy = copy
  }

  /**
   * Resolves once the checkpoint stands in both places. A crash leaves at worst a second copy that is ahead of the
   * log's own file, over entries that are durable; only the second copy is durable at once. Throws `record_forked` when the second copy holds a
   * note that this writer did not put there; other rejections may be tried again.
   */
  async publish(snapshot: TreeSnapshot): Promise<SignedCheckpoint> {
    const { folder, disk, signer } = this.#parts
    const inFolder = (file: TileFile): FileContent => ({ path: join(folder, file.path), bytes: file.bytes })
    if (snapshot.full.length > 0) await disk.replace(snapshot.full.map(inFolder), 'durable')
    await disk.replace(snapshot.partial.map(inFolder), 'derivable')
    const { size, root } = snapshot
    const signed = await this.#sign({ origin: signer.name, size, root })
    await this.#swap(signed.note)
    await disk.replace([{ path: join(folder, CHECKPOINT_FILE), bytes: utf8(signed.note) }], 'whole')
    await Promise.all(snapshot.superseded.map((path) => disk.removeFolder(join(folder, path))))
    return signed
  }

  // A key in custody elsewhere may answer wrongly: what does not verify is never published.
  async #sign(checkpoint: Parameters<typeof signCheckpoint>[0]): Promise<SignedCheckpoint> {
    const signed = await signCheckpoint(checkpoint, this.#parts.signer)
    const opened = openCheckpoint(signed.note, this.#parts.verifier)
    if (opened.size !== checkpoint.size || !equalBytes(opened.root, checkpoint.root)) {
      throw new DoorwardError('record_unavailable', 'checkpoint does not say what was signed')
    }
    return signed
  }

  async #swap(note: string): Promise<void> {
    const { store } = this.#parts
    const attempted = this.#attempted
    this.#attempted = note
    if (!(await store.compareAndSwap(this.#copy, note))) {
      const found = await store.newest()
      const ours = found !== null && (found === note || found === attempted)
      if (!ours || (found !== note && !(await store.compareAndSwap(found, note)))) throw forked(found)
    }
    this.#copy = note
  }
}

function forked(found: string | null): DoorwardError {
  return new DoorwardError('record_forked', 'somebody else has written the second copy of the checkpoint', {
    expected: 'the checkpoint that this writer put there',
    got: found === null ? 'none' : `size ${found.split('\n')[1] ?? 'unknown'}`,
    next: 'find the other writer; restart this one when only one is left',
  })
}
