/** What a gateway has found about an identity: on the record of the authority, and an alarm while it stands. */

import type { EpochMillis, Severity } from '@doorward/core'
import type { AuthorityContext } from '../context.ts'
import { endDetection, raiseDetection } from '../detection.ts'

export interface ToldFinding {
  readonly detector: string
  /** SPIFFE ID. */
  readonly subject: string
  readonly severity: Severity
  readonly detail: string
  readonly since: EpochMillis
  readonly ended: boolean
}

/** One beginning and one end of each gateway, detector and subject within a minute. Throws as `raiseDetection`. */
export async function takeToldFinding(context: AuthorityContext, told: ToldFinding, source: string): Promise<void> {
  const { detector, subject, severity, since } = told
  const detail = `seen by ${source}: ${told.detail}`
  const detection = { detector, subject, severity, since, detail, source }
  if (!told.ended) return raiseDetection(context, detection)
  const { rate } = context.detections
  if (rate.take(`ended ${detector} ${subject}`, context.clock())) await endDetection(context, detection)
}
