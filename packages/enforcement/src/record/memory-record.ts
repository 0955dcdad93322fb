/** A record without a disk, for tests: its references name entries that nothing keeps. Not exported from the package. */

import { encodePayload, epochMillis, parsePayload } from '@doorward/core'
import type { EntryEnvelope } from '@doorward/core'
import type { Record } from './record.ts'
import { acknowledge } from './reference.ts'

export interface MemoryRecord extends Record {
  readonly entries: readonly EntryEnvelope[]
  /** From now on every append is rejected with this, or accepted again with null. */
  failWith(error: Error | null): void
}

export function memoryRecord(origin = 'test.example/memory'): MemoryRecord {
  const entries: EntryEnvelope[] = []
  let failure: Error | null = null
  return {
    entries,
    failWith(error) {
      failure = error
    },
    async append({ kind, body }) {
      if (failure !== null) throw failure
      entries.push(parsePayload(encodePayload(kind, epochMillis(entries.length), body)))
      return acknowledge(origin, entries.length - 1)
    },
  }
}
