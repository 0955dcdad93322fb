/** The body of an answer from one side of a sidecar to the other: as it comes, no faster than it is read, and within bounds. */

import type { IncomingMessage, ServerResponse } from 'node:http'

export interface RelayLimits {
  /** Between two parts, where it is no event stream and its reader does not keep it waiting. */
  readonly answerMilliseconds: number
  /** From its head to its end. */
  readonly streamMilliseconds: number
  readonly bytes: number
}

export type RelayEnd = 'whole' | 'broken' | 'late' | 'large' | 'unread'

/** Resolves when all of it was given on, or will not be; never rejects. The source is destroyed unless it was whole. */
export function relay(source: IncomingMessage, response: ServerResponse, limits: RelayLimits): Promise<RelayEnd> {
  const { promise, resolve } = Promise.withResolvers<RelayEnd>()
  const isStream = (source.headers['content-type'] ?? '').toLowerCase().startsWith('text/event-stream')
  let bytes = 0
  const late = () => resolve('late')
  const whole = setTimeout(late, limits.streamMilliseconds).unref()
  const next = setTimeout(() => (isStream || source.isPaused() ? next.refresh() : late()), limits.answerMilliseconds)
  next.unref()
  source.on('data', (part: Uint8Array) => {
    bytes += part.length
    next.refresh()
    if (bytes > limits.bytes) return resolve('large')
    if (response.write(part)) return
    source.pause()
    response.once('drain', () => {
      next.refresh()
      source.resume()
    })
  })
  source.once('end', () => resolve(source.complete ? 'whole' : 'broken'))
  source.once('error', () => resolve('broken'))
  source.once('close', () => resolve(source.complete ? 'whole' : 'broken'))
  response.once('close', () => resolve('unread'))
  if (source.destroyed) resolve('broken')
  return promise.finally(() => {
    clearTimeout(whole)
    clearTimeout(next)
    if (!source.complete) source.destroy()
  })
}
