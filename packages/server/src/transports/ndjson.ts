/** Answers of one JSON text per line, as long as the caller listens and keeps up. */

import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import type { Exchange } from '@doorward/enforcement'

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
  /** Ends the answer where it is; what the caller has not read then is lost. Never by default. */
  readonly ending?: AbortSignal
}

const STALL_MILLISECONDS = 30_000

/**
 * Sends lines until the iteration or `ending` ends them. `lines` must end when its signal aborts. The next line is asked for only when the
 * caller has read enough of the one before, so that a slow caller costs one line and what its socket holds.
 */
export async function sendLines(
  { response }: Pick<Exchange, 'response'>,
  lines: (signal: AbortSignal) => AsyncIterable<string>,
  { headers, stallMilliseconds = STALL_MILLISECONDS, ending }: SendLinesOptions,
): Promise<SentLines> {
  const gone = new AbortController()
  const onClose = () => gone.abort()
  response.once('close', onClose)
  // Whoever does not read is not waited for.
  const onEnding = () => (response.writableNeedDrain ? response.destroy() : undefined)
  ending?.addEventListener('abort', onEnding, { once: true })
  const signal = ending === undefined ? gone.signal : AbortSignal.any([gone.signal, ending])
  let bytes = 0
  try {
    response.writeHead(200, { 'Content-Type': 'application/x-ndjson', 'Cache-Control': 'no-store', ...headers })
    response.flushHeaders()
    for await (const line of lines(signal)) {
      if (signal.aborted) break
      const text = `${line}\n`
      bytes += Buffer.byteLength(text)
      if (!response.write(text)) await drained(response, gone, stallMilliseconds)
    }
    const cancelled = gone.signal.aborted
    if (!cancelled) response.end()
    return { bytes, cancelled }
  } finally {
    response.off('close', onClose)
    ending?.removeEventListener('abort', onEnding)
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
