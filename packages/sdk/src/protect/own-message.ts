/** A message of our own to a handler, of which nobody has the answer: such as that nobody waits for something any more. */

import { IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import { mute } from './written-answer.ts'

export interface OwnMessage {
  readonly url: string
  readonly host: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
}

export function ownRequest({ url, host, headers, body }: OwnMessage): IncomingMessage {
  const request = new IncomingMessage(new Socket())
  const all = { host, ...headers, 'content-length': String(body.length) }
  request.httpVersion = '1.1'
  request.httpVersionMajor = 1
  request.httpVersionMinor = 1
  request.method = 'POST'
  request.url = url
  request.headers = all
  request.rawHeaders = Object.entries(all).flat()
  request.complete = true
  request.push(body)
  request.push(null)
  return request
}

/** Where the answer goes: nowhere. */
export function unheard(request: IncomingMessage): ServerResponse {
  const response = new ServerResponse(request)
  mute(response)
  const end = response.end.bind(response)
  // Whoever pipes into it waits for that.
  const ended = (...said: unknown[]): unknown => {
    queueMicrotask(() => {
      response.emit('finish')
      response.emit('close')
    })
    return Reflect.apply(end, undefined, said)
  }
  return Object.assign(response, { end: ended })
}
