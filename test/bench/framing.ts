/** HTTP/1.1 messages with Content-Length on one connection, for both ends of the measurement: no more than they need. */

export interface Message {
  /** Start line and headers. */
  readonly head: string
  readonly body: Buffer
}

const headEnd = Buffer.from('\r\n\r\n')
const lengthHeader = /\r\ncontent-length: *(\d+)/i

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
      const total = end + headEnd.length + Number(lengthHeader.exec(head)?.[1] ?? 0)
      if (bytes.length < total) break
      messages.push({ head, body: bytes.subarray(end + headEnd.length, total) })
      bytes = bytes.subarray(total)
    }
    this.#pending = bytes.length === 0 ? null : bytes
    return messages
  }
}

/** The value of a header; empty when it is not there. */
export function headerOf(head: string, name: string): string {
  return new RegExp(`\\r\\n${name}: *([^\\r]*)`, 'i').exec(head)?.[1] ?? ''
}
