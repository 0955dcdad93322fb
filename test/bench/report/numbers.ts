/** What one run has measured, as it is kept beside the page: the page and its charts are made of this and nothing else. */

import type { Measured } from '../statistics.ts'
import type { VariantName } from '../system.ts'

export type LoadName = 'kept' | 'one' | 'fresh'

export type MeasuredTable = Partial<Readonly<Record<VariantName, Measured>>>

export interface ReportNumbers {
  readonly format: 1
  /** RFC 3339, UTC, to the minute. */
  readonly at: string
  readonly revision: string
  /** Sources differed from the revision. */
  readonly changed: boolean
  readonly quick: boolean
  readonly machine: {
    readonly processor: string
    readonly cores: number
    readonly memoryGigabytes: number
    readonly system: string
    /** Processes that wanted a core, mean of one minute: just before, and at the end. */
    readonly loadBefore: number
    readonly loadAfter: number
  }
  /** Null: not here, so not measured. */
  readonly versions: Readonly<Record<string, string | null>>
  /** Why something is not measured. */
  readonly missing: readonly string[]
  readonly rounds: number
  /** Of the whole command. */
  readonly seconds: number
  readonly tables: Readonly<Record<LoadName, MeasuredTable>>
  /** Of the process under test, at the end. */
  readonly residentMebibytes: Partial<Readonly<Record<VariantName, number>>>
}

/** Controls one by one: each has what those before it have. */
export const stepNames = ['tls', 'blind', 'token', 'policy', 'limits', 'record', 'full'] as const
export type StepName = (typeof stepNames)[number]

/** As the file has them: digits that say nothing are left out. */
export function numbersText(numbers: ReportNumbers): string {
  const digits = (_name: string, value: unknown) =>
    typeof value === 'number' ? Number(value.toFixed(value < 100 ? 3 : 1)) : value
  return `${JSON.stringify(numbers, digits, 2)}\n`
}
