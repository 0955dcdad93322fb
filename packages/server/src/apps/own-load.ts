/** Looks at event loop and heap, for the metrics and for whoever sheds load. */

import { getHeapStatistics } from 'node:v8'
import type { LoadShedding } from '@doorward/enforcement'
import { ownRows } from '../observability/metric-rows.ts'
import type { Metrics } from '../observability/metrics.ts'

const LOOK_MILLISECONDS = 25
/** The heap changes slower than the loop, and is dearer to ask. */
const LOOKS_PER_HEAP = 10

interface Loaded {
  readonly dependencies: { readonly load?: LoadShedding }
}

/** Until the signal aborts. Never rejects. */
export function watchLoad(metrics: Metrics, { dependencies: { load } }: Loaded, signal: AbortSignal): Promise<void> {
  const lag = metrics.histogram(ownRows.loopLag).cell()
  metrics.onScrape(() => {
    const level = load?.level ?? 'none'
    const told = metrics.numbers(ownRows.shedding)
    told.cell('handshakes').value = level === 'none' ? 0 : 1
    told.cell('strangers').value = level === 'strangers' ? 1 : 0
    told.cell('memory').value = load?.memory === true ? 1 : 0
  })
  let due = performance.now() + LOOK_MILLISECONDS
  let looks = 0
  const look = () => {
    const now = performance.now()
    const late = Math.max(0, now - due)
    due = now + LOOK_MILLISECONDS
    lag.observe(late / 1000)
    load?.observe(late)
    if (++looks % LOOKS_PER_HEAP === 0) load?.observeHeap(heapShare())
  }
  return new Promise((resolve) => {
    if (signal.aborted) return resolve()
    const timer = setInterval(look, LOOK_MILLISECONDS)
    const stop = () => {
      clearInterval(timer)
      resolve()
    }
    signal.addEventListener('abort', stop, { once: true })
  })
}

function heapShare(): number {
  const { used_heap_size: used, heap_size_limit: limit } = getHeapStatistics()
  return limit === 0 ? 0 : used / limit
}
