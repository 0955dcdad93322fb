/** What a drill has shown, step by step, each against its bar. */

import { signNote } from '@doorward/core'
import type { NoteSigner } from '@doorward/core'

export interface DrillStep {
  readonly step: string
  /** What has to hold. */
  readonly bar: string
  readonly measured: string
  readonly milliseconds: number
  readonly passed: boolean
}

export interface DrillReport {
  readonly workloads: number
  readonly authorities: number
  readonly gateways: number
  readonly store: 'sqlite' | 'postgres'
  readonly emergency: boolean
  readonly steps: readonly DrillStep[]
  readonly passed: boolean
}

/** First line of the note: no checkpoint and no recovery report begins so. */
export const drillHead = 'doorward/drill-report/v1'

/** Signed note (C2SP signed-note): `drillHead`, then one line of JSON. */
export function signDrillReport(report: DrillReport, signer: NoteSigner): Promise<string> {
  return signNote(`${drillHead}\n${JSON.stringify(report)}\n`, signer)
}

/** The value below which that share of the values lies; 0 without any. */
export function share(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? 0
}

/** `certificate_not_issued 9, closed 2` */
export function counted(codes: readonly string[]): string {
  const counts = Object.entries(Object.groupBy(codes, (code) => code))
  return counts.map(([code, all]) => `${code} ${all?.length ?? 0}`).join(', ')
}
