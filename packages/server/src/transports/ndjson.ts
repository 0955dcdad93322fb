/** Answers of one JSON text per line, as long as the caller listens and keeps up. */

import { once } from 'node:events'
import type { Exchange } from './exchange.ts'

export interface SentLines {
  readonly bytes: number
  /** The caller went away, or did not read. */
  readonly cancelled: boolean
}

/** A caller that reads nothing for so long is cut off: its lines are memory here. */
const stallMilliseconds = 30_000

/** Sends lines until the iteration ends. `lines` must end when its signal aborts. */
export async function sendLines(
  exchange: Exchange,
  lines: (signal: AbortSignal) => AsyncIterable<string>,
  headers: Readonly<Record<string, string>>,
): Promise<SentLines> {
  const { response } = exchange
  const gone = new AbortController()
  const onClose = () => gone.abort()
  response.once('close', onClose)
  let bytes = 0
  try {
    response.writeHead(200, { 'Content-Type': 'application/x-ndjson', 'Cache-Control': 'no-store', ...headers })
    response.flushHeaders()
    for await (const line of lines(gone.signal)) {
      if (gone.signal.aborted) break
      const text = `${line}\n`
      bytes += Buffer.byteLength(text)
      if (!response.write(text)) await drained(exchange, gone)
    }
    const cancelled = gone.signal.aborted
    if (!cancelled) response.end()
    return { bytes, cancelled }
  } finally {
    response.off('close', onClose)
  }
}

async function drained({ response }: Exchange, gone: AbortController): Promise<void> {
  const patience = AbortSignal.any([gone.signal, AbortSignal.timeout(stallMilliseconds)])
  try {
    await once(response, 'drain', { signal: patience })
  } catch {
    response.destroy()
    gone.abort()
  }
}
