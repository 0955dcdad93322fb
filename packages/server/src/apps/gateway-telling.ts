/** What a gateway has to tell the authority: kept, the newest of each, until an authority has taken it. Bounded. */

import { DoorwardError, isDoorwardError } from '@doorward/core'
import { timerSleep } from '@doorward/sdk'

export interface TellingParts {
  /** Sends a body; rejects when it has not arrived. */
  readonly send: (body: string, signal: AbortSignal) => Promise<void>
  /** The body that tells of these, at most `most` of them. */
  readonly bodyOf: (documents: readonly object[]) => object
  readonly most: number
  readonly onProblem: (error: unknown) => void
}

/** What waits for the authority; the newest of each name. */
const MAX_WAITING = 64
const PAUSE = { first: 200, most: 5000 }

export class GatewayTelling {
  readonly #parts: TellingParts
  readonly #waiting = new Map<string, object>()
  #wake: () => void = () => undefined

  constructor(parts: TellingParts) {
    this.#parts = parts
  }

  tell(name: string, document: object): void {
    if (!this.#waiting.has(name) && this.#waiting.size >= MAX_WAITING) return
    this.#waiting.set(name, document)
    this.#wake()
  }

  /** Tells as soon as there is something, until the signal aborts. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    signal.addEventListener('abort', () => this.#wake(), { once: true })
    for (let pause = PAUSE.first; !signal.aborted;) {
      if (this.#waiting.size === 0) await new Promise<void>((resolve) => (this.#wake = resolve))
      if (signal.aborted) return
      const told = await this.#send(signal).catch((error: unknown) => {
        if (!signal.aborted) this.#parts.onProblem(error)
        return false
      })
      pause = told ? PAUSE.first : Math.min(PAUSE.most, pause * 2)
      await timerSleep(pause, signal)
    }
  }

  async #send(signal: AbortSignal): Promise<true> {
    const { send, bodyOf, most } = this.#parts
    const batch = [...this.#waiting].slice(0, most)
    try {
      await send(JSON.stringify(bodyOf(batch.map(([, document]) => document))), signal)
    } catch (error) {
      // An authority of another version would not understand it any better later.
      if (!isDoorwardError(error, notUnderstood)) throw error
      this.#parts.onProblem(error)
    }
    // What has come meanwhile under the same name waits on.
    for (const [name, document] of batch) if (this.#waiting.get(name) === document) this.#waiting.delete(name)
    return true
  }
}

const notUnderstood = 'detection_not_understood'

/** The refusal of an authority that was told, as an error. */
export function notTaken(status: number, code: string): DoorwardError {
  return new DoorwardError(
    status === 400 ? notUnderstood : 'detection_refused',
    'the authority did not take a detection',
    { got: `${status} ${code}` },
  )
}
