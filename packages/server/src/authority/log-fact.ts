/** What entries of an authority's own log say about what it has issued, which keys it has made and what it has published. */

import { epochSeconds, toSeconds } from '@doorward/core'
import type { EntryKind, EpochMillis, EpochSeconds } from '@doorward/core'

/** Of the kinds that hold facts. */
export interface FactEntry {
  readonly kind: EntryKind
  readonly time: EpochMillis
  readonly body: Readonly<Record<string, unknown>>
}

export interface IssuedFact {
  readonly fact: 'issued'
  readonly id: string
  readonly serial: string
  readonly fingerprint: string
  readonly notAfter: EpochSeconds
  readonly at: EpochMillis
}

export type LogFact =
  | IssuedFact
  /** Keys of our slots. */
  | { readonly fact: 'keys'; readonly keyIds: readonly string[] }
  /** A trust state that the store has taken. */
  | { readonly fact: 'state'; readonly delegation: number; readonly sequence: number; readonly epoch: number }
  | { readonly fact: 'registered'; readonly id: string; readonly at: EpochMillis }

export const factKinds: readonly EntryKind[] = ['issuance', 'trust', 'admin']
/** Nothing that we issue lives longer, backdating and leeway included. */
export const longestLifeSeconds = 90_000
/** Certificates between intent and outcome; more are never signed at once. */
const MAX_OPEN = 10_000

/** Reads entries in their order: an outcome says less than its intent. */
export class FactReader {
  readonly #notAfter = new Map<string, EpochSeconds>()

  read({ kind, time, body }: FactEntry): LogFact | null {
    switch (kind) {
      case 'issuance':
        return this.#issuance(body, time)
      case 'trust':
        return trustFact(body)
      case 'admin':
        return body['change'] === 'workload.add' && typeof body['id'] === 'string'
          ? { fact: 'registered', id: body['id'], at: time }
          : null
      case 'decision':
      case 'outcome':
      case 'refusals':
      case 'lifecycle':
      case 'detection':
      case 'approval':
        return null
    }
  }

  #issuance(
    { phase, serial, id, outcome, fingerprint, not_after }: FactEntry['body'],
    at: EpochMillis,
  ): LogFact | null {
    if (typeof serial !== 'string' || typeof id !== 'string') return null
    if (phase === 'intent') {
      if (typeof not_after === 'number') this.#remember(serial, epochSeconds(not_after))
      return null
    }
    const notAfter = this.#notAfter.get(serial) ?? epochSeconds(toSeconds(at) + longestLifeSeconds)
    this.#notAfter.delete(serial)
    if (phase !== 'outcome' || outcome !== 'issued' || typeof fingerprint !== 'string') return null
    return { fact: 'issued', id, serial, fingerprint, notAfter, at }
  }

  #remember(serial: string, notAfter: EpochSeconds): void {
    const [oldest] = this.#notAfter.keys()
    if (this.#notAfter.size >= MAX_OPEN && oldest !== undefined) this.#notAfter.delete(oldest)
    this.#notAfter.set(serial, notAfter)
  }
}

function trustFact(body: FactEntry['body']): LogFact | null {
  const { change, key_id, key_ids, delegation, sequence, epoch } = body
  switch (change) {
    case 'anchor.prepare':
    case 'token.prepare':
    case 'jwt-svid.prepare':
      return typeof key_id === 'string' ? { fact: 'keys', keyIds: [key_id] } : null
    case 'keys':
      return Array.isArray(key_ids) ? { fact: 'keys', keyIds: key_ids.filter((id) => typeof id === 'string') } : null
    case 'state.stored': {
      const whole = [delegation, sequence, epoch].every((value) => Number.isSafeInteger(value))
      return whole ? ({ fact: 'state', delegation, sequence, epoch } as Extract<LogFact, { fact: 'state' }>) : null
    }
    default:
      return null
  }
}
