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
      else this.#wait({ request, options })
    }
    Object.assign(agent, { addRequest })
    // After the agent itself, which has put the connection with the free ones.
    agent.on('free', () => this.#next())
  }

  begins(): void {
    this.#dialling++
  }

  /**
   * Where nobody is connected, the others would hear the same one after the other: once no dial is under way any more that could
   * still succeed. Until then one that failed says nothing about them, and is followed by no other.
   */
  ended(error: Error | null): void {
    this.#dialling--
    if (error !== null && this.#isAlone()) {
      if (this.#dialling > 0) return
      for (const waiting of this.#waiting.splice(0)) failed(taken(waiting), error)
    }
    this.#next()
  }

  #isAlone(): boolean {
    const { sockets, freeSockets } = this.#agent
    return [sockets, freeSockets].every((open) => Object.values(open).every((some) => (some ?? []).length === 0))
  }

  /** Whoever gives up hears of it at once, and waits no longer: a request without a connection would hear at its turn. */
  #wait(waiting: Waiting): void {
    const { request } = waiting
    this.#waiting.push(waiting)
    request.destroy = (error?: Error) => {
      const at = this.#waiting.indexOf(waiting)
      if (at >= 0) this.#waiting.splice(at, 1)
      taken(waiting).destroy(error)
      failed(request)
      return request
    }
  }

  #mayGo(): boolean {
    return this.#dialling < AT_ONCE || Object.keys(this.#agent.freeSockets).length > 0
  }

  #next(): void {
    while (this.#waiting.length > 0 && this.#mayGo()) {
      const waiting = this.#waiting.shift()!
      this.#add(taken(waiting), waiting.options)
    }
  }
}

/** As it was before it waited. */
function taken({ request }: Waiting): ClientRequest {
  Reflect.deleteProperty(request, 'destroy')
  return request
}

/** A request that has no connection yet hears of an error when it would be given one, and before of none: by default its own. */
function failed(request: ClientRequest, error?: Error): void {
  const give: unknown = Reflect.get(request, 'onSocket')
  ;(give as (socket: null, error?: Error) => void).call(request, null, error)
}
