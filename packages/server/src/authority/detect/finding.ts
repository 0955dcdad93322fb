/** What a look has found: it stands until a later look does not find it any more. */

import type { Detection } from '../detection-port.ts'

export interface Finding extends Detection {
  /** Nothing is signed while it stands; false by default. */
  readonly stops?: boolean
}

export interface Change {
  readonly begun: readonly Finding[]
  readonly lasting: readonly Finding[]
  readonly ended: readonly Finding[]
}

/** Of what a look finds, so much is followed; more of it would say nothing new. */
const MAX_FINDINGS = 256

/** What stands now, by detector and subject. */
export class Findings {
  #standing = new Map<string, Finding>()

  /** Takes what a look has found in place of what stood. */
  replace(found: readonly Finding[]): Change {
    const before = this.#standing
    const now = new Map(found.slice(0, MAX_FINDINGS).map((one) => [`${one.detector} ${one.subject}`, one]))
    this.#standing = now
    const split = (lasts: boolean) => [...now].filter(([key]) => before.has(key) === lasts).map(([, one]) => one)
    return {
      begun: split(false),
      lasting: split(true),
      ended: [...before].filter(([key]) => !now.has(key)).map(([, one]) => one),
    }
  }

  /** The first of those that stop everything; null when none does. */
  stopping(): Finding | null {
    return [...this.#standing.values()].find(({ stops }) => stops === true) ?? null
  }
}
