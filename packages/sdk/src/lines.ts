/** Newline-delimited text from a byte stream, each line bounded. */

import { DoorwardError, fromUtf8 } from '@doorward/core'

const LF = 0x0a

/** Yields lines without their newline; a last line without one counts. Throws `line_too_long`, `bytes_not_utf8`, or what the stream throws. */
export async function* readLines(stream: AsyncIterable<Uint8Array>, maxBytes: number): AsyncGenerator<string> {
  let parts: Uint8Array[] = []
  let length = 0
  for await (const chunk of stream) {
    let rest = chunk
    for (let at = rest.indexOf(LF); at >= 0; at = rest.indexOf(LF)) {
      parts.push(rest.subarray(0, at))
      if (length + at > maxBytes) throw tooLong(maxBytes)
      yield lineOf(parts)
      parts = []
      length = 0
      rest = rest.subarray(at + 1)
    }
    if (rest.length > 0) parts.push(rest)
    length += rest.length
    if (length > maxBytes) throw tooLong(maxBytes)
  }
  if (length > 0) yield lineOf(parts)
}

function lineOf(parts: readonly Uint8Array[]): string {
  const text = fromUtf8(parts.length === 1 ? parts[0]! : Buffer.concat(parts))
  return text.endsWith('\r') ? text.slice(0, -1) : text
}

function tooLong(maxBytes: number): DoorwardError {
  return new DoorwardError('line_too_long', `a line is longer than ${maxBytes} bytes`)
}
