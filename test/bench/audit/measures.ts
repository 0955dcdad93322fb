/** What is measured, and the shapes of its results. */

import type { Appended } from './appends.ts'

export const writerCounts = [1, 100, 1000] as const
export const rounds = 2
export const steadyPerSecond = 1000
/** Written after a log was opened, before its memory is looked at. */
export const entriesAtWork = 40_000

export interface WriterRow extends Appended {
  readonly variant: 'record' | 'plain'
  readonly writers: number
}

export type Steady = Appended

export interface Grown {
  readonly entries: number
  readonly seconds: number
}

export interface Opened {
  readonly milliseconds: number
  readonly entries: number
  /** Megabytes at rest, after it has written some more. */
  readonly resident: number
}

export interface Verified {
  readonly seconds: number
  readonly entries: number
  readonly problems: number
  /** Megabytes at most. */
  readonly mostResident: number
}

export interface AuditReport {
  readonly machine: string
  /** The load of the system when it was measured, as the kernel averages it over one minute. */
  readonly load: number
  /** The better round of each. */
  readonly appends: readonly WriterRow[]
  readonly steady: Steady
  readonly grown: Grown
  /** With a tenth of the entries, and with all. */
  readonly small: Opened
  readonly opened: Opened
  readonly verified: Verified
}
