/**
 * At which address an admin API is called, where several authorities have it. The next address is asked when the one before
 * cannot be reached, and only while that repeats nothing: a call that changes something is made anew only when nothing of it
 * was sent.
 */

import { DoorwardError } from '@doorward/core'
import { systemElapsed } from './elapsed.ts'
import { answerMilliseconds } from './https-exchange.ts'
import type { Identity } from './identity.ts'
import { ServerRefused } from './refusal.ts'

export interface AdminAddresses {
  /** Asked first, until another one has answered. */
  readonly url: string
  /** Other addresses of the same API; none by default. */
  readonly others?: () => readonly string[]
}

/** The admin APIs of all running authorities that tell where they have one, as the newest trust state says. */
export function authorityAdminUrls({ trustStore }: Pick<Identity, 'trustStore'>): readonly string[] {
  return trustStore.authorities().flatMap(({ admin }) => (admin === undefined ? [] : [`https://${admin}`]))
}

const reading = 'GET'
/** With these codes a server may have been reached: what only reads may be read again. */
const lost: ReadonlySet<string> = new Set(['connection_lost', 'connection_timeout', 'connection_refused'])

export class AdminRoute {
  readonly #addresses: AdminAddresses
  readonly #monotonic: () => number
  #answered: string | null = null

  constructor(addresses: AdminAddresses, monotonic: () => number = systemElapsed) {
    this.#addresses = addresses
    this.#monotonic = monotonic
  }

  /**
   * What the first address gives that can be reached; after 20 s no further one is begun, and each has 10 s to connect.
   * Throws what the call throws, and where none can be reached what the first one threw.
   */
  async through<T>(method: string, call: (url: string) => Promise<T>): Promise<T> {
    const ends = this.#monotonic() + answerMilliseconds
    const failures: unknown[] = []
    for (const url of this.#urls()) {
      if (failures.length > 0 && this.#monotonic() >= ends) break
      try {
        const result = await call(url)
        this.#answered = url
        return result
      } catch (error) {
        if (!mayGoOn(error, method)) throw error
        failures.push(error)
      }
    }
    throw failures[0]
  }

  #urls(): readonly string[] {
    const { url, others = () => [] } = this.#addresses
    const all = [url, ...others().filter((other) => URL.canParse(other))].map((one) => new URL(one).origin)
    const known = this.#answered !== null && all.includes(this.#answered) ? [this.#answered] : []
    return [...new Set([...known, ...all])]
  }
}

function mayGoOn(error: unknown, method: string): boolean {
  if (!(error instanceof DoorwardError) || error instanceof ServerRefused) return false
  return wasNotSent(error) || (method === reading && lost.has(error.code))
}

/** No connection was made, or its server was not taken for the one that was asked for: judged before a byte is sent. */
function wasNotSent({ code, cause }: DoorwardError): boolean {
  if (code === 'server_unreachable' || code === 'connection_lost') return isOfConnecting(cause)
  // With a cause it was an answer that did not come in time.
  if (code === 'connection_timeout') return cause === undefined
  return code.startsWith('server_')
}

/** System calls before the connection stands; a host with several addresses has an error of each. */
function isOfConnecting(cause: unknown): boolean {
  if (cause instanceof AggregateError) return cause.errors.length > 0 && cause.errors.every(isOfConnecting)
  if (!(cause instanceof Error) || !('syscall' in cause)) return false
  return cause.syscall === 'connect' || cause.syscall === 'getaddrinfo'
}
