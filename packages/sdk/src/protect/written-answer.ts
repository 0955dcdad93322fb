/** What a handler says by the calls of `node:http`, in the forms that those take. */

import type { OutgoingHttpHeader, OutgoingHttpHeaders, ServerResponse } from 'node:http'

export type Written = string | Uint8Array | null | undefined | (() => void)
export type Headers = OutgoingHttpHeaders | readonly OutgoingHttpHeader[]

/** What stands in the place of these calls of a response, until it is taken off again. */
export interface Standing {
  readonly writeHead: (status: number, reason?: string | Headers, headers?: Headers) => ServerResponse
  readonly flushHeaders: () => void
  readonly write: (chunk: Written, encoding?: unknown, done?: unknown) => boolean
  readonly end: (chunk?: Written, encoding?: unknown, done?: unknown) => ServerResponse
}

export function takeOff(response: ServerResponse, ...names: readonly (keyof Standing)[]): void {
  for (const name of names) Reflect.deleteProperty(response, name)
}

/** Takes whatever is written from now on for nothing, and lets whoever writes it go on: a refusal has been said already. */
export function mute(response: ServerResponse): void {
  const standing: Standing = {
    writeHead: () => response,
    flushHeaders: () => undefined,
    write: (_chunk, encoding, done) => {
      callBack(encoding, done)
      return true
    },
    end: (chunk, encoding, done) => {
      callBack(chunk, encoding, done)
      return response
    },
  }
  Object.assign(response, standing)
}

/** Status and headers as `writeHead` is given them. */
export function keepHead(
  response: ServerResponse,
  status: number,
  reason: string | Headers | undefined,
  headers: Headers | undefined,
): void {
  response.statusCode = status
  for (const [name, value] of headerPairs(typeof reason === 'string' ? headers : (reason ?? headers)))
    response.setHeader(name, value)
}

/** Null where nothing is written. */
export function bytesOf(chunk: Written, encoding: unknown): Buffer | null {
  if (chunk === null || chunk === undefined || typeof chunk === 'function') return null
  return typeof chunk === 'string' ? Buffer.from(chunk, encodingOf(encoding)) : Buffer.from(chunk)
}

export function callBack(...candidates: readonly unknown[]): void {
  const done = candidates.find((one) => typeof one === 'function')
  if (done !== undefined) queueMicrotask(() => Reflect.apply(done as () => void, undefined, []))
}

function encodingOf(encoding: unknown): BufferEncoding {
  return typeof encoding === 'string' && Buffer.isEncoding(encoding) ? encoding : 'utf8'
}

function* headerPairs(headers: Headers | undefined): Generator<[string, number | string | readonly string[]]> {
  if (headers === undefined) return
  if (!Array.isArray(headers)) {
    for (const [name, value] of Object.entries(headers)) if (value !== undefined) yield [name, value]
    return
  }
  for (let i = 0; i + 1 < headers.length; i += 2) yield [String(headers[i]), headers[i + 1] as string]
}
