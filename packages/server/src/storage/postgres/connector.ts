/** Finds the server that takes writes among the addresses of the store. */

import { DoorwardError } from '@doorward/core'
import { clientConfig } from './client-config.ts'
import { sayShortly, unavailable } from './failure.ts'
import type { PostgresOptions, PostgresTimes } from './options.ts'
import { openSession, StatementNames } from './session.ts'
import type { Session } from './session.ts'

export class Connector {
  readonly #options: PostgresOptions
  readonly #names = new StatementNames()
  /** Index of the address that led to the right server last. */
  #preferred = 0

  constructor(options: PostgresOptions) {
    this.#options = options
  }

  /**
   * Each address has an equal part of the time, so that one that swallows everything leaves some to the others. Throws
   * `store_unavailable`; `store_login_refused`, `store_missing`, `store_unsuitable` when the first address says so.
   */
  async connect(times: PostgresTimes): Promise<Session> {
    const { addresses } = this.#options
    const milliseconds = Math.ceil(times.connectMilliseconds / addresses.length)
    const failures: unknown[] = []
    for (let tried = 0; tried < addresses.length; tried++) {
      const index = (this.#preferred + tried) % addresses.length
      const address = addresses[index]
      if (address === undefined) break
      try {
        const session = await openSession(clientConfig(this.#options, address, times), this.#names, milliseconds)
        this.#preferred = index
        return session
      } catch (error) {
        failures.push(error)
      }
    }
    throw reasonOf(failures)
  }
}

/** What only the operator can mend is said as it is; that a server is gone or a replica may pass. */
function reasonOf(failures: readonly unknown[]): DoorwardError {
  const [first] = failures
  if (first instanceof DoorwardError && first.code !== 'store_replica') return first
  return unavailable(failures.map(sayShortly).join(', '))
}
