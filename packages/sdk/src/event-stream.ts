/** Server-sent events from bytes (WHATWG HTML §9.2.6). */

import { DoorwardError } from '@doorward/core'

export interface StreamEvent {
  /** `message` unless the stream names another. */
  readonly type: string
  readonly data: string
  /** The last event id of the stream so far; null before the first. */
  readonly lastEventId: string | null
  /** Reconnection time that the stream has asked for, milliseconds. */
  readonly retryMilliseconds: number | null
}

/** Yields events that have data, and those without that carry an id: they prime resumption. Throws `event_too_large` or what the stream throws. */
export async function* readEvents(stream: AsyncIterable<Uint8Array>, maxBytes: number): AsyncGenerator<StreamEvent> {
  const decoder = new TextDecoder('utf-8')
  const lineEnd = /\r\n|\n|\r/g
  const pending = new PendingEvent()
  let rest = ''
  let searched = 0
  for await (const chunk of stream) {
    rest += decoder.decode(chunk, { stream: true })
    let start = 0
    lineEnd.lastIndex = searched
    for (let match = lineEnd.exec(rest); match !== null; match = lineEnd.exec(rest)) {
      // A CR at the very end may be half of CR LF.
      if (match[0] === '\r' && match.index + 1 === rest.length) break
      const event = pending.line(rest.slice(start, match.index))
      start = lineEnd.lastIndex
      if (event !== null) yield event
    }
    rest = rest.slice(start)
    searched = rest.endsWith('\r') ? rest.length - 1 : rest.length
    if (rest.length + pending.length > maxBytes)
      throw new DoorwardError('event_too_large', `an event is larger than ${maxBytes} bytes`)
  }
}

class PendingEvent {
  #data: string[] = []
  #type = ''
  #id: string | null = null
  #sawId = false
  #retry: number | null = null
  length = 0

  /** One line; the event that an empty line completes, else null. */
  line(text: string): StreamEvent | null {
    if (text === '') return this.#dispatch()
    if (text.startsWith(':')) return null
    const colon = text.indexOf(':')
    const field = colon < 0 ? text : text.slice(0, colon)
    const value = colon < 0 ? '' : text.slice(text[colon + 1] === ' ' ? colon + 2 : colon + 1)
    this.#take(field, value)
    return null
  }

  #take(field: string, value: string): void {
    if (field === 'data') {
      this.#data.push(value)
      this.length += value.length
    } else if (field === 'event') this.#type = value
    else if (field === 'id' && !value.includes('\0')) {
      this.#id = value
      this.#sawId = true
    } else if (field === 'retry' && /^\d{1,9}$/.test(value)) this.#retry = Number(value)
  }

  #dispatch(): StreamEvent | null {
    const wanted = this.#data.length > 0 || this.#sawId
    const event = {
      type: this.#type || 'message',
      data: this.#data.join('\n'),
      lastEventId: this.#id,
      retryMilliseconds: this.#retry,
    }
    this.#data = []
    this.#type = ''
    this.#sawId = false
    this.length = 0
    return wanted ? event : null
  }
}
