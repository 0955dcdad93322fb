/**
 * What this authority has done, by its own log: the truth by which its store is judged. Fed with the log as it was found at
 * start, and with every entry that is acknowledged since.
 */

import { compareStates } from '@doorward/core'
import type { EpochMillis, EpochSeconds } from '@doorward/core'
import { FactReader } from './log-fact.ts'
import type { LogFact } from './log-fact.ts'
import type { AuthorityRecord } from './ports.ts'

export interface StoredVersion {
  readonly delegation: number
  readonly sequence: number
  readonly epoch: number
}

/** Twice as many as there can be live ones; beyond that the ledger is not complete any more. */
const MAX_ISSUED = 200_000

export class Ledger {
  readonly #issued = new Map<string, EpochSeconds>()
  readonly #keys = new Set<string>()
  #newest: StoredVersion | null = null
  #complete = false
  #overflown = false

  take(fact: LogFact): void {
    switch (fact.fact) {
      case 'issued':
        if (this.#issued.size < MAX_ISSUED) this.#issued.set(fact.fingerprint, fact.notAfter)
        else this.#overflown = true
        return
      case 'keys':
        for (const keyId of fact.keyIds) this.#keys.add(keyId)
        return
      case 'state':
        if (this.#newest === null || compareStates(fact, this.#newest) === 'newer') this.#newest = versionOf(fact)
        return
      case 'registered':
        return
    }
  }

  /** The newest trust state of ours that the store has taken; null when the log knows none. */
  get newest(): StoredVersion | null {
    return this.#newest
  }

  /** Everything that may still be alive has been read: what is not here was never done. */
  get complete(): boolean {
    return this.#complete && !this.#overflown
  }

  completed(): void {
    this.#complete = true
  }

  hasIssued(fingerprint: string): boolean {
    return this.#issued.has(fingerprint)
  }

  hasKey(keyId: string): boolean {
    return this.#keys.has(keyId)
  }

  /** Forgets what is over and that nobody is told of any more: `isListed` says of which certificates the trust state still speaks. */
  prune(now: EpochSeconds, isListed: (fingerprint: string) => boolean): void {
    for (const [fingerprint, notAfter] of this.#issued)
      if (notAfter <= now && !isListed(fingerprint)) this.#issued.delete(fingerprint)
  }
}

function versionOf({ delegation, sequence, epoch }: StoredVersion): StoredVersion {
  return { delegation, sequence, epoch }
}

/** The same log, of which the listener hears every fact when it is durable. */
export function tappedLog(
  log: AuthorityRecord,
  clock: () => EpochMillis,
  listener: (fact: LogFact) => void,
): AuthorityRecord {
  const reader = new FactReader()
  return {
    append: async (entry) => {
      const reference = await log.append(entry)
      const fact = reader.read({ kind: entry.kind, time: clock(), body: { ...entry.body } })
      if (fact !== null) listener(fact)
      return reference
    },
  }
}
