/** A checkpoint store without durability, for tests. */

import type { CheckpointStore } from './checkpoint-store.ts'

export function memoryCheckpointStore(initial: string | null = null): CheckpointStore {
  let stored = initial
  return {
    async compareAndSwap(expected, next) {
      if (stored !== expected) return false
      stored = next
      return true
    },
    async newest() {
      return stored
    },
  }
}
