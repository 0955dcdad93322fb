/** Answers of one JSON text per line, as long as the caller listens and keeps up. */

import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import type { Exchange } from './exchange.ts'

export interface SentLines {
  readonly bytes: number
  /** The caller went away, or did not read. */
  readonly cancelled: boolean
}

export interface SendLinesOptions {
  /** Beside those that every such answer has. */
  readonly headers: Readonly<Record<string, string>>
  /** A caller that reads nothing for so long is cut off, because its lines are memory here; 30 s by default. */
  readonly stallMilliseconds?: number
}

const STALL_MILLISECONDS = 30_000

/**
 * Sends lines until the iteration ends. `lines` must end when its signal aborts. The next line is asked for only when the
 * caller has read enough of the one before, so that a slow caller costs one line and what its socket holds.
 */
export async function sendLines(
  { response }: Pick<Exchange, 'response'>,
  lines: (signal: AbortSignal) => AsyncIterable<string>,
  { headers, stallMilliseconds = STALL_MILLISECONDS }: SendLinesOptions,
): Promise<SentLines> {
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
      if (!response.write(text)) await drained(response, gone, stallMilliseconds)
    }
    const cancelled = gone.signal.aborted
    if (!cancelled) response.end()
    return { bytes, cancelled }
  } finally {
    response.off('close', onClose)
  }
}

async function drained(response: ServerResponse, gone: AbortController, stallMilliseconds: number): Promise<void> {
  const patience = AbortSignal.any([gone.signal, AbortSignal.timeout(stallMilliseconds)])
  try {
    await once(response, 'drain', { signal: patience })
  } catch {
    response.destroy()
    gone.abort()
  }
}
