/**
 * Few connections of an agent are dialled at once. A server takes handshakes one after the other, and refuses an address that begins
 * many: a burst of calls that dials once for each waits for seconds, and loses some. So a call waits for its turn, and takes whichever
 * connection is free before that.
 */

import type { Agent } from 'node:https'
import type { ClientRequest } from 'node:http'

const AT_ONCE = 8

type AddRequest = (request: ClientRequest, options: object) => void

interface Waiting {
  readonly request: ClientRequest
  readonly options: object
}

export class DialTurns {
  readonly #agent: Agent
  readonly #add: AddRequest
  /** Bounded by whoever calls: each is a call of theirs. */
  readonly #waiting: Waiting[] = []
  #dialling = 0

  constructor(agent: Agent) {
    this.#agent = agent
    this.#add = (Reflect.get(agent, 'addRequest') as AddRequest).bind(agent)
    const addRequest: AddRequest = (request, options) => {
      if (this.#mayGo()) this.#add(request, options)
      else this.#waiting.push({ request, options })
    }
    Object.assign(agent, { addRequest })
    // After the agent itself, which has put the connection with the free ones.
    agent.on('free', () => this.#next())
  }

  begins(): void {
    this.#dialling++
  }

  /** Where nobody is connected, the others would hear the same one after the other. */
  ended(error: Error | null): void {
    this.#dialling--
    const { sockets, freeSockets } = this.#agent
    const alone = [sockets, freeSockets].every((open) => Object.values(open).every((some) => (some ?? []).length === 0))
    if (error !== null && alone) for (const { request } of this.#waiting.splice(0)) failed(request, error)
    this.#next()
  }

  #mayGo(): boolean {
    return this.#dialling < AT_ONCE || Object.keys(this.#agent.freeSockets).length > 0
  }

  #next(): void {
    while (this.#waiting.length > 0 && this.#mayGo()) {
      const { request, options } = this.#waiting.shift()!
      if (request.destroyed) failed(request)
      else this.#add(request, options)
    }
  }
}

/** A request that has no connection yet hears of an error when it would be given one, and before of none: by default its own. */
function failed(request: ClientRequest, error?: Error): void {
  const give: unknown = Reflect.get(request, 'onSocket')
  ;(give as (socket: null, error?: Error) => void).call(request, null, error)
}
