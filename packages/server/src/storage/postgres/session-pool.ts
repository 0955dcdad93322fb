/** A bounded number of sessions, opened when asked for, handed to one asker at a time. */

import type { DoorwardError } from '@doorward/core'
import type { Connector } from './connector.ts'
import { sayShortly, unavailable } from './failure.ts'
import type { PostgresTimes } from './options.ts'
import type { Session } from './session.ts'

interface Asker {
  readonly resolve: (session: Session) => void
  readonly reject: (error: DoorwardError) => void
  /** Openings that had begun when it asked. */
  readonly begun: number
}

export interface SessionPoolParts {
  readonly connector: Connector
  readonly times: PostgresTimes
  /** Sessions at most. */
  readonly most: number
}

export class SessionPool {
  readonly #parts: SessionPoolParts
  readonly #sessions = new Set<Session>()
  #askers: Asker[] = []
  #idle: Session[] = []
  #opening = 0
  #begun = 0
  #closed = false

  constructor(parts: SessionPoolParts) {
    this.#parts = parts
  }

  /** Sessions that are open or being opened. */
  get size(): number {
    return this.#sessions.size + this.#opening
  }

  /** Rejects with `store_unavailable` when none is to be had in time. */
  take(milliseconds: number): Promise<Session> {
    if (this.#closed) return Promise.reject(unavailable('the store is closed'))
    const idle = this.#idle.pop()
    if (idle !== undefined) return Promise.resolve(idle)
    return new Promise((resolve, reject) => {
      const settling =
        <T>(settle: (value: T) => void) =>
        (value: T) => {
          clearTimeout(timer)
          settle(value)
        }
      const asker: Asker = { resolve: settling(resolve), reject: settling(reject), begun: this.#begun }
      const timer = setTimeout(() => {
        this.#askers = this.#askers.filter((each) => each !== asker)
        reject(unavailable('no connection to the store is to be had'))
      }, milliseconds)
      this.#askers.push(asker)
      this.#serve()
    })
  }

  /** One that is not usable any more makes room for another. */
  giveBack(session: Session): void {
    if (this.#closed || !session.usable) return this.#drop(session)
    const asker = this.#askers.shift()
    if (asker === undefined) this.#idle.push(session)
    else asker.resolve(session)
  }

  /** One connection has failed us: those that are idle may lead to the same nowhere. */
  doubtIdle(): void {
    for (const session of this.#idle) session.destroy()
  }

  async close(): Promise<void> {
    this.#closed = true
    for (const asker of this.#askers.splice(0)) asker.reject(unavailable('the store is closed'))
    const idle = this.#idle
    this.#idle = []
    for (const session of idle) this.#sessions.delete(session)
    await Promise.all(idle.map((session) => session.end()))
  }

  #drop(session: Session): void {
    if (!this.#sessions.delete(session)) return
    this.#idle = this.#idle.filter((each) => each !== session)
    if (session.usable) session.destroy()
    this.#serve()
  }

  /** Opens for those who wait, as far as there is room. What is opened goes to whoever waits by then. */
  #serve(): void {
    while (this.#opening < this.#askers.length && this.size < this.#parts.most) void this.#open()
  }

  async #open(): Promise<void> {
    this.#opening += 1
    const begun = this.#begun++
    try {
      const session = await this.#parts.connector.connect(this.#parts.times)
      this.#sessions.add(session)
      session.onEnd = () => this.#drop(session)
      this.giveBack(session)
    } catch (error) {
      // While the store is in use, whatever keeps it from us may pass.
      this.#refuse(begun, unavailable(sayShortly(error)))
    } finally {
      this.#opening -= 1
      this.#serve()
    }
  }

  /** Whoever has asked since the opening began has another one coming. */
  #refuse(begun: number, error: DoorwardError): void {
    const asker = this.#askers.find((each) => each.begun <= begun)
    if (asker === undefined) return
    this.#askers = this.#askers.filter((each) => each !== asker)
    asker.reject(error)
  }
}
