/** A connection that is kept: for what has to end with what was shown when it began. */

import { connect } from 'node:tls'
import type { TLSSocket } from 'node:tls'
import { answersIn, dialled, endOf } from './wire.ts'
import type { WireAnswer, WireMaterial, WirePlace } from './wire.ts'

const maxBytes = 256 * 1024

export class HeldConnection {
  readonly #socket: TLSSocket
  #text = ''
  #ended: string | null = null
  #secured = false
  #wake: (() => void)[] = []

  constructor(place: WirePlace, material: WireMaterial) {
    this.#socket = connect(dialled(place, material))
    this.#socket.on('data', (part: Buffer) => {
      this.#text = (this.#text + part.toString('latin1')).slice(0, maxBytes)
      this.#look()
    })
    this.#socket.on('secureConnect', () => {
      this.#secured = true
      this.#look()
    })
    this.#socket.on('error', (error: NodeJS.ErrnoException) => (this.#ended ??= endOf(error)))
    this.#socket.on('close', () => {
      this.#ended ??= 'closed'
      this.#look()
    })
  }

  /** How it ended; null while it is open. */
  get ended(): string | null {
    return this.#ended
  }

  /** The handshake is over: what was shown has not been judged yet. */
  get open(): boolean {
    return this.#ended === null && this.#secured
  }

  get text(): string {
    return this.#text
  }

  /** The next answer in full; null where the connection ends, or nothing comes in time. */
  async ask(bytes: Uint8Array, milliseconds = 15_000): Promise<WireAnswer | null> {
    this.#text = ''
    if (this.#ended === null) this.#socket.write(bytes)
    await this.until(() => answersIn(this.#text).length > 0, milliseconds)
    return answersIn(this.#text)[0] ?? null
  }

  /** Whether it became true, before the connection ended or the time was over. */
  async until(holds: () => boolean, milliseconds: number): Promise<boolean> {
    const deadline = performance.now() + milliseconds
    while (!holds() && this.#ended === null) {
      const left = deadline - performance.now()
      if (left <= 0) return false
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left)
        this.#wake.push(() => (clearTimeout(timer), resolve()))
      })
    }
    return holds()
  }

  write(bytes: Uint8Array): void {
    this.#socket.write(bytes)
  }

  close(): void {
    this.#socket.destroy()
  }

  #look(): void {
    for (const wake of this.#wake.splice(0)) wake()
  }
}
