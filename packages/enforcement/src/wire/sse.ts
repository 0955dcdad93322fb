/** Server-sent events (WHATWG HTML §9.2) as bytes: what is not changed passes as it came. */

import { joinBytes, utf8 } from '@doorward/core'
import { GrowingBytes } from './growing-bytes.ts'

export interface SseEvent {
  /** The event with its line ends and the empty line that closes it, without lines that are no field and no comment. */
  readonly raw: Uint8Array
  /** The data lines joined by LF; null when the event has none. */
  readonly data: Uint8Array | null
}

/** The largest event, in bytes; 4 MiB by default. */
export const maxEventBytes = 4 * 1024 * 1024

const CR = 13
const LF = 10
const COLON = 0x3a
/** Byte order mark. */
const MARK = [0xef, 0xbb, 0xbf]
const DATA = utf8('data')
const LINE_FEED = Uint8Array.of(LF)
const DATA_PREFIX = utf8('data: ')

/**
 * Cuts a stream into events, whatever the chunks are. Lines end in LF, CR LF or CR. An unfinished event at the end of
 * the stream is not an event.
 */
export class SseParser {
  readonly #limit: number
  readonly #held = new GrowingBytes()
  /** Where the next search may start: everything before is known to hold no complete event. */
  #searched = 0
  #lineStart = 0
  /** Where a byte order mark may still stand. */
  #atStart = true

  constructor(limit = maxEventBytes) {
    this.#limit = limit
  }

  /** The events that are now complete; null when one is too large, after which the stream is of no use. */
  push(chunk: Uint8Array): SseEvent[] | null {
    this.#held.append(chunk)
    if (this.#atStart) this.#skipMark()
    const events: SseEvent[] = []
    for (;;) {
      const end = this.#eventEnd()
      if (end < 0) break
      if (end > this.#limit) return null
      events.push(eventOf(this.#held.take(end)))
      this.#searched = 0
      this.#lineStart = 0
    }
    return this.#held.length > this.#limit ? null : events
  }

  /** Readers take it off before they look for fields (WHATWG HTML §9.2.5). */
  #skipMark(): void {
    const first = this.#held.view().subarray(0, MARK.length)
    if (first.every((byte, i) => byte === MARK[i])) {
      if (first.length < MARK.length) return
      this.#held.take(MARK.length)
      this.#searched = 0
    }
    this.#atStart = false
  }

  /** The index after the empty line that ends the first event, or −1. */
  #eventEnd(): number {
    const bytes = this.#held.view()
    for (let i = this.#searched; i < bytes.length; i++) {
      const byte = bytes[i]
      if (byte !== LF && byte !== CR) continue
      // A CR at the very end may be half of CR LF.
      if (byte === CR && i + 1 === bytes.length) {
        this.#searched = i
        return -1
      }
      const next = byte === CR && bytes[i + 1] === LF ? i + 2 : i + 1
      if (i === this.#lineStart) return next
      this.#lineStart = next
      i = next - 1
    }
    this.#searched = bytes.length
    return -1
  }
}

/** Lines that are not empty, without their ends. */
function linesOf(raw: Uint8Array): Uint8Array[] {
  const lines: Uint8Array[] = []
  let start = 0
  for (let i = 0; i < raw.length; i++) {
    if (raw[i] !== LF && raw[i] !== CR) continue
    if (i > start) lines.push(raw.subarray(start, i))
    if (raw[i] === CR && raw[i + 1] === LF) i++
    start = i + 1
  }
  if (start < raw.length) lines.push(raw.subarray(start))
  return lines
}

/** The value of a `data` line, or null for any other line. */
function dataValue(line: Uint8Array): Uint8Array | null {
  for (let i = 0; i < DATA.length; i++) if (line[i] !== DATA[i]) return null
  if (line.length === DATA.length) return line.subarray(DATA.length)
  if (line[DATA.length] !== 0x3a) return null
  return line.subarray(line[DATA.length + 1] === 0x20 ? DATA.length + 2 : DATA.length + 1)
}

/** What a line is called that has a meaning; some readers cut other beginnings off, and then find one of these. */
const FIELDS = ['data', 'event', 'id', 'retry'].map((name) => utf8(name))

function hasMeaning(line: Uint8Array): boolean {
  if (line[0] === COLON) return true
  return FIELDS.some(
    (name) => name.every((byte, i) => line[i] === byte) && (line.length === name.length || line[name.length] === COLON),
  )
}

function eventOf(given: Uint8Array): SseEvent {
  const lines = linesOf(given)
  const kept = lines.filter((line) => hasMeaning(line) && (dataValue(line) !== null || lineEndIn(line, 0) === null))
  const raw = kept.length === lines.length ? given : joined(kept)
  const values: Uint8Array[] = []
  for (const line of kept) {
    const value = dataValue(line)
    if (value === null) continue
    if (values.length > 0) values.push(LINE_FEED)
    values.push(value)
  }
  if (values.length === 0) return { raw, data: null }
  const data = values.length === 1 ? values[0]! : joinBytes(values)
  const told = withoutLineEnds(data)
  return told === data ? { raw, data } : { raw: withData({ raw, data }, told), data: told }
}

interface Found {
  readonly at: number
  readonly end: number
  readonly escape: Uint8Array
}

const SINGLE_LINE_ENDS: ReadonlySet<number> = new Set([0x0b, 0x0c, 0x1c, 0x1d, 0x1e])
const NEXT_LINE = utf8(String.raw`\u0085`)
const SEPARATORS = [utf8(String.raw`\u2028`), utf8(String.raw`\u2029`)]

/**
 * The next character that is a line end to readers of text, though not here: Python's `splitlines` is what some clients cut
 * streams with, and what stands behind it would be an event to them that nobody has judged.
 */
function lineEndIn(bytes: Uint8Array, from: number): Found | null {
  for (let at = from; at < bytes.length; at++) {
    const byte = bytes[at]!
    if (byte > 0x1e && byte !== 0xc2 && byte !== 0xe2) continue
    if (SINGLE_LINE_ENDS.has(byte)) return { at, end: at + 1, escape: LINE_FEED }
    if (byte === 0xc2 && bytes[at + 1] === 0x85) return { at, end: at + 2, escape: NEXT_LINE }
    const separator = byte === 0xe2 && bytes[at + 1] === 0x80 ? SEPARATORS[bytes[at + 2]! - 0xa8] : undefined
    if (separator !== undefined) return { at, end: at + 3, escape: separator }
  }
  return null
}

/** The same JSON: such characters can only stand in its texts, where an escape says the same. The very bytes given without any. */
function withoutLineEnds(json: Uint8Array): Uint8Array {
  let found = lineEndIn(json, 0)
  if (found === null) return json
  const parts: Uint8Array[] = []
  let from = 0
  for (; found !== null; found = lineEndIn(json, from)) {
    parts.push(json.subarray(from, found.at), found.escape)
    from = found.end
  }
  parts.push(json.subarray(from))
  return joinBytes(parts)
}

function joined(lines: readonly Uint8Array[]): Uint8Array {
  return joinBytes([...lines.flatMap((line) => [line, LINE_FEED]), LINE_FEED])
}

/** The event with other data; `id`, `event`, `retry` and comments stay. */
export function withData(event: SseEvent, data: Uint8Array): Uint8Array {
  const parts: Uint8Array[] = []
  for (const line of linesOf(event.raw)) if (dataValue(line) === null) parts.push(line, LINE_FEED)
  for (const line of linesOf(withoutLineEnds(data))) parts.push(DATA_PREFIX, line, LINE_FEED)
  parts.push(LINE_FEED)
  return joinBytes(parts)
}

/** The event without data: its `id` and `retry` still count for whoever resumes after it. Null when nothing is left. */
export function withoutData(event: SseEvent): Uint8Array | null {
  const kept = linesOf(event.raw).filter((line) => dataValue(line) === null && startsWith(line, 'id', 'retry'))
  return kept.length === 0 ? null : joined(kept)
}

/** What of an event beside its data may be told: the text itself, another one, or null for nothing. */
export interface FieldsTold {
  readonly id: (text: string) => string | null
  readonly event: (text: string) => string | null
}

/**
 * The event with nothing beside its data but `id`, `event` and `retry`, as they may be told; the very one given where that is
 * all of it.
 */
export function withFields(event: SseEvent, told: FieldsTold): SseEvent {
  const lines = linesOf(event.raw)
  const kept = lines.flatMap((line): readonly Uint8Array[] => {
    const one = fieldTold(line, told)
    return one === null ? [] : [one]
  })
  if (kept.length === lines.length && kept.every((line, i) => line === lines[i])) return event
  return { raw: joined(kept), data: event.data }
}

const texts = new TextDecoder()

/** The very line where it stays as it is; null for one that no reader looks at, or may. */
function fieldTold(line: Uint8Array, told: FieldsTold): Uint8Array | null {
  if (dataValue(line) !== null) return line
  const [, name = '', value = ''] = /^([^:]*)(?:: ?([^]*))?$/.exec(texts.decode(line)) ?? []
  if (name === 'retry') return /^\d{1,10}$/.test(value) ? line : null
  if (name !== 'id' && name !== 'event') return null
  const text = told[name](value)
  if (text === value) return line
  return text === null ? null : utf8(`${name}: ${text}`)
}

function startsWith(line: Uint8Array, ...fields: readonly string[]): boolean {
  return fields.some((field) => {
    const name = utf8(`${field}:`)
    return name.every((byte, i) => line[i] === byte)
  })
}

/** One `message` event around a JSON text. */
export function messageEvent(data: Uint8Array): Uint8Array {
  return withData({ raw: utf8('event: message\n\n'), data: null }, data)
}

const EVENT = utf8('event:')
const eventNames = new TextDecoder('latin1')

/** What the event is called: `message` where it does not say (WHATWG HTML §9.2.6). */
export function eventName({ raw }: SseEvent): string {
  let name = 'message'
  for (const line of linesOf(raw)) {
    if (!EVENT.every((byte, i) => line[i] === byte)) continue
    const value = eventNames.decode(line.subarray(line[EVENT.length] === 0x20 ? EVENT.length + 1 : EVENT.length))
    name = value === '' ? 'message' : value
  }
  return name
}
