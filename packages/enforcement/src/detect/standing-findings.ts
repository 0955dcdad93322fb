/** What stands of everything that was found, since when, and what of it has to be told now. */

import { isAtLeast } from '@doorward/core'
import type { EpochMillis, Severity } from '@doorward/core'
import type { Found } from './finding.ts'

export interface StandingFinding extends Found {
  readonly since: EpochMillis
}

export interface StandingChange {
  readonly begun: readonly StandingFinding[]
  /** More severe than they were told before. */
  readonly worsened: readonly StandingFinding[]
  readonly ended: readonly StandingFinding[]
}

/** Of one detector and subject in one minute. */
const AGAIN_MILLISECONDS = 60_000
/** That stand, and that may begin within a minute. */
const MOST = 512

export function findingKey({ detector, subject }: Pick<Found, 'detector' | 'subject'>): string {
  return `${detector} ${subject}`
}

export class StandingFindings {
  readonly #standing = new Map<string, StandingFinding>()
  /** When each was last told to begin, and how severe it became. */
  readonly #begun = new Map<string, { readonly at: number; readonly severity: Severity }>()

  /** `standing`: what stood when the process before ended. */
  constructor(standing: readonly StandingFinding[] = []) {
    for (const one of standing.slice(0, MOST)) this.#standing.set(findingKey(one), one)
  }

  current(): readonly StandingFinding[] {
    return [...this.#standing.values()]
  }

  /**
   * Takes what a look has found in place of what stood. Of one subject a minute has one beginning: what comes back sooner
   * waits, unless it is more severe than before. `now` never goes back, `wall` is the time that is told.
   */
  replace(found: readonly Found[], now: number, wall: EpochMillis): StandingChange {
    const present = new Map(found.map((one) => [findingKey(one), one]))
    const ended = [...this.#standing].filter(([key]) => !present.has(key))
    for (const [key] of ended) this.#standing.delete(key)
    for (const [key, { at }] of this.#begun) if (now - at >= AGAIN_MILLISECONDS) this.#begun.delete(key)
    const begun: StandingFinding[] = []
    const worsened: StandingFinding[] = []
    for (const [key, one] of present) {
      const before = this.#standing.get(key)
      const standing = { ...one, since: before?.since ?? wall }
      if (before === undefined) {
        if (!this.#mayBegin(key, one)) continue
        begun.push(standing)
      } else if (!isAtLeast(before.severity, one.severity)) worsened.push(standing)
      if (before === undefined || !isAtLeast(before.severity, one.severity))
        this.#begun.set(key, { at: this.#begun.get(key)?.at ?? now, severity: one.severity })
      // What was told once as severe stays so until it ends.
      const severity = before !== undefined && isAtLeast(before.severity, one.severity) ? before.severity : one.severity
      this.#standing.set(key, { ...standing, severity })
    }
    return { begun, worsened, ended: ended.map(([, one]) => one) }
  }

  #mayBegin(key: string, { severity }: Found): boolean {
    const before = this.#begun.get(key)
    if (before !== undefined) return !isAtLeast(before.severity, severity)
    return this.#begun.size < MOST && this.#standing.size < MOST
  }
}
