/**
 * The right to act as one authority: taken at start, renewed all the time, lost for good.
 *
 * Two processes with one state, as after a copied machine, must never both sign. The store lets one of them hold the
 * lease; the other finds every write refused, and a process that cannot renew stops to sign before anybody may follow it.
 */

import { DoorwardError, leaseMilliseconds } from '@doorward/core'
import type { Clock, EpochMillis } from '@doorward/core'
import type { AuthorityEntry, LeaseRequest, LeaseStore } from './ports.ts'

export interface LeaseParts {
  readonly leases: LeaseStore
  readonly clock: Clock
  /** Milliseconds that never go back. */
  readonly monotonic: () => number
}

export type LeaseEntry = Pick<AuthorityEntry, 'place' | 'trustKey' | 'trustKeys' | 'log'>

/** Renewing takes a moment: signing stops this long before somebody else may take over. */
const marginMilliseconds = 2000

export class Lease {
  readonly #parts: LeaseParts
  readonly #lost = new AbortController()
  /** Of the request whose answer renewed the lease: the store has counted from a later moment. */
  #renewedAt: number
  #storeAhead: number

  private constructor(parts: LeaseParts, renewedAt: number, storeAhead: number) {
    this.#parts = parts
    this.#renewedAt = renewedAt
    this.#storeAhead = storeAhead
  }

  /** Throws `authority_in_use`, `authority_name_taken`. */
  static async take(parts: LeaseParts, request: Omit<LeaseRequest, 'now'>): Promise<Lease> {
    const asked = parts.monotonic()
    const now = parts.clock()
    const taken = await parts.leases.take({ ...request, now })
    switch (taken.outcome) {
      case 'taken':
        return new Lease(parts, asked, taken.storeTime - now)
      case 'held':
        throw new DoorwardError('authority_in_use', 'another process acts as this authority', {
          where: request.name,
          got: `its lease has ${Math.ceil(taken.remainingMilliseconds / 1000)} s to go`,
          next: 'stop the other one, or give this authority a state folder of its own: a copied folder is not another authority',
        })
      case 'name_taken':
        throw new DoorwardError('authority_name_taken', 'another authority on this store has the name', {
          where: request.name,
          next: 'set authority.name to another name',
        })
    }
  }

  /** Aborts when somebody else holds the lease. */
  get lost(): AbortSignal {
    return this.#lost.signal
  }

  /** Milliseconds by which the store's clock is ahead of ours. */
  get storeAhead(): number {
    return this.#storeAhead
  }

  /** Rejects when the store cannot be asked; a lease that is lost aborts `lost`. */
  async renew(entry: LeaseEntry): Promise<void> {
    const { leases, monotonic, clock } = this.#parts
    const asked = monotonic()
    const now: EpochMillis = clock()
    const renewed = await leases.renew(now, entry)
    if (renewed === null) return this.#lost.abort()
    this.#renewedAt = asked
    this.#storeAhead = renewed.storeTime - now
  }

  /** Why nothing may be signed; null while the lease is surely held. */
  unfit(): string | null {
    if (this.#lost.signal.aborted) return 'another process acts as this authority'
    const age = this.#parts.monotonic() - this.#renewedAt
    if (age < leaseMilliseconds - marginMilliseconds) return null
    return `the store has not confirmed the lease for ${Math.round(age / 1000)} s`
  }

  /** Lets the next process have it at once. */
  release(): Promise<void> {
    return this.#parts.leases.release()
  }
}
