/** HTTP/1.1 messages on one connection, for both ends of the measurement: no more than they need. */

export interface Message {
  /** Start line and headers. */
  readonly head: string
  readonly body: Buffer
}

const headEnd = Buffer.from('\r\n\r\n')
const lengthHeader = /\r\ncontent-length: *(\d+)/i
const chunkedHeader = /\r\ntransfer-encoding: *chunked/i

/** Cuts a stream of bytes into messages. */
export class MessageReader {
  #pending: Buffer | null = null

  /** The messages that are complete with these bytes. */
  push(chunk: Buffer): readonly Message[] {
    let bytes = this.#pending === null ? chunk : Buffer.concat([this.#pending, chunk])
    const messages: Message[] = []
    for (;;) {
      const end = bytes.indexOf(headEnd)
      if (end < 0) break
      const head = bytes.toString('latin1', 0, end)
      const body = bodyAt(bytes, end + headEnd.length, head)
      if (body === null) break
      messages.push({ head, body: body.bytes })
      bytes = bytes.subarray(body.end)
    }
    this.#pending = bytes.length === 0 ? null : bytes
    return messages
  }
}

interface Body {
  readonly bytes: Buffer
  /** Where the message ends. */
  readonly end: number
}

/** Null while it is not complete. */
function bodyAt(bytes: Buffer, start: number, head: string): Body | null {
  if (chunkedHeader.test(head)) return chunksAt(bytes, start)
  const end = start + Number(lengthHeader.exec(head)?.[1] ?? 0)
  return bytes.length < end ? null : { bytes: bytes.subarray(start, end), end }
}

/** Without trailers. */
function chunksAt(bytes: Buffer, start: number): Body | null {
  const chunks: Buffer[] = []
  for (let at = start; ;) {
    const line = bytes.indexOf('\r\n', at)
    if (line < 0) return null
    const size = Number.parseInt(bytes.toString('latin1', at, line), 16)
    const end = line + 2 + size + 2
    if (bytes.length < end) return null
    if (size === 0) return { bytes: Buffer.concat(chunks), end }
    chunks.push(bytes.subarray(line + 2, line + 2 + size))
    at = end
  }
}

/** The value of a header; empty when it is not there. */
export function headerOf(head: string, name: string): string {
  return new RegExp(`\\r\\n${name}: *([^\\r]*)`, 'i').exec(head)?.[1] ?? ''
}
