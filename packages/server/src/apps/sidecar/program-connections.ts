/** Connections to the program behind a sidecar that are kept between calls: few, for a moment, and never with a byte of an earlier answer. */

import { Agent } from 'node:http'
import type { ClientRequest } from 'node:http'
import type { Socket } from 'node:net'
import type { ProgramConnection } from '../../transports/sidecar/program-call.ts'

/**
 * A shorter time than programs keep theirs: Node.js and others 5 s. Whoever closes a connection in the very moment in which it is used
 * again takes a call with it.
 */
const IDLE_MILLISECONDS = 1000
const MAX_IDLE = 64
/** What goes wrong on a connection does not go on for ever, and workers of a program that share a socket share the calls. */
const MAX_USES = 1000

export class ProgramConnections {
  readonly #idle: Kept[] = []
  #closed = false

  /** One that was made to this place, if there is one; those to another are closed: something else lies there now. */
  take(place: string): ProgramConnection | null {
    for (;;) {
      const kept = this.#idle.pop()
      if (kept === undefined) return null
      if (kept.place === place && kept.use()) return kept
      kept.socket.destroy()
    }
  }

  /** A connection that was just made, and looked at. */
  made(socket: Socket, place: string): ProgramConnection {
    return new Kept(socket, place, {
      rests: (kept) => this.#rests(kept),
      ends: (kept) => {
        const at = this.#idle.indexOf(kept)
        if (at >= 0) this.#idle.splice(at, 1)
      },
    })
  }

  /** Those in use end with their calls. */
  close(): void {
    this.#closed = true
    for (const { socket } of this.#idle.splice(0)) socket.destroy()
  }

  #rests(kept: Kept): boolean {
    if (this.#closed || this.#idle.length >= MAX_IDLE) return false
    this.#idle.push(kept)
    return true
  }
}

interface Keeping {
  /** False when there is no place for it. */
  rests(kept: Kept): boolean
  ends(kept: Kept): void
}

class Kept implements ProgramConnection {
  readonly socket: Socket
  readonly place: string
  readonly agent: Agent
  readonly #keeping: Keeping
  readonly #patience: NodeJS.Timeout
  #seen = new SeenBytes()
  #uses = 1
  #isIdle = false

  constructor(socket: Socket, place: string, keeping: Keeping) {
    this.socket = socket
    this.place = place
    this.#keeping = keeping
    this.agent = lending(socket)
    this.#patience = setTimeout(() => this.#isIdle && socket.destroy(), IDLE_MILLISECONDS).unref()
    // What comes while nobody reads an answer belongs to nobody: the next caller would have it for an answer to its own call.
    socket.on('data', (part: Buffer) => {
      if (socket.listenerCount('data') === 1) socket.destroy()
      else this.#seen.add(part)
    })
    socket.on('error', () => socket.destroy())
    socket.once('close', () => {
      clearTimeout(this.#patience)
      keeping.ends(this)
    })
  }

  get isReused(): boolean {
    return this.#uses > 1
  }

  use(): boolean {
    this.#isIdle = false
    this.#seen = new SeenBytes()
    this.#uses++
    return isClean(this.socket)
  }

  /** What comes after the answer, and was under way with it, shows in the next turn of the loop. */
  release(bodyBytes: number | null): void {
    if (this.#uses >= MAX_USES || !this.#seen.endWith(bodyBytes)) return void this.socket.destroy()
    setImmediate(() => {
      const free = this.socket.listenerCount('data') === 1
      if (!free || !isClean(this.socket) || !this.#keeping.rests(this)) return void this.socket.destroy()
      this.#isIdle = true
      this.#patience.refresh()
    })
  }
}

const HEAD_END = '\r\n\r\n'
const LAST_CHUNK = '0\r\n\r\n'

/**
 * Whether what has come is one answer and nothing else. The parser does not say: it takes what follows an answer in the same piece for
 * the beginning of the next one, and forgets it.
 */
class SeenBytes {
  #count = 0
  #headBytes = -1
  #last: Buffer | null = null

  add(part: Buffer): void {
    if (this.#last === null) {
      const end = part.indexOf(HEAD_END)
      this.#headBytes = end < 0 ? -1 : end + HEAD_END.length
    }
    this.#count += part.length
    this.#last = part
  }

  /** With a body of so many bytes, or in chunks: what would follow the last one has no such end, or is a second answer. */
  endWith(bodyBytes: number | null): boolean {
    if (this.#headBytes < 0 || this.#last === null) return false
    return bodyBytes === null
      ? this.#last.subarray(-LAST_CHUNK.length).toString('latin1') === LAST_CHUNK
      : this.#count === this.#headBytes + bodyBytes
  }
}

function isClean({ destroyed, readable, writable, readableLength, writableLength }: Socket): boolean {
  return !destroyed && readable && writable && readableLength === 0 && writableLength === 0
}

/** Gives requests this one connection, as one that goes on after them. */
function lending(socket: Socket): Agent {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const addRequest = (request: ClientRequest) => request.onSocket(socket)
  return Object.assign(agent, { addRequest })
}
