/** Entries as they come, put together to batches. */

import { setTimeout as sleep } from 'node:timers/promises'

export interface BatchLimits {
  readonly entries: number
  /** Characters of JSON, of all events together; a single event may be longer. */
  readonly characters: number
  /** How long a batch waits for more. */
  readonly lingerMilliseconds: number
}

/** Others may run after so many: they share the thread with whoever decides about calls. */
const IN_ONE_GO = 32

/** Yields what `convert` makes of entries, never an empty batch; one event at most is held beside the batch. */
export async function* inBatches<E, T extends { readonly json: string }>(
  entries: AsyncGenerator<E>,
  convert: (entry: E) => T,
  { entries: most, characters: room, lingerMilliseconds }: BatchLimits,
): AsyncGenerator<readonly T[]> {
  let coming = nextOf(entries)
  for (;;) {
    const first = await coming
    if (first.done === true) return
    const batch = [convert(first.value)]
    let characters = batch[0]?.json.length ?? 0
    coming = nextOf(entries)
    const timer = new AbortController()
    const late = sleep(lingerMilliseconds, null, { signal: timer.signal }).catch(() => null)
    while (batch.length < most && characters < room) {
      const next = await Promise.race([coming, late])
      if (next === null || next.done === true) break
      const event = convert(next.value)
      batch.push(event)
      characters += event.json.length
      coming = nextOf(entries)
      if (batch.length % IN_ONE_GO === 0) await new Promise<void>((resolve) => void setImmediate(resolve))
    }
    timer.abort()
    yield batch
  }
}

/** A failure waits until somebody asks. */
function nextOf<E>(entries: AsyncGenerator<E>): Promise<IteratorResult<E>> {
  const coming = entries.next()
  coming.catch(() => undefined)
  return coming
}
