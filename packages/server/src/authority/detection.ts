/**
 * Detections: signs of misuse that somebody has to look at (reference ids DT-1 … DT-8). On record first, then an alarm
 * in the store, which every authority shows, and a word to the operator of this one.
 */

import { isDoorwardError } from '@doorward/core'
import type { AuthorityContext } from './context.ts'
import type { Detection } from './detection-port.ts'

export const detectionRate = { windowMilliseconds: 60_000, most: 256 }
const MAX_ALARMS = 1000
const MAX_DETAIL = 512

/**
 * Raises an alarm. Of one detector and subject a minute has one entry, whatever comes; the alarm counts them all. Throws
 * `record_*` when it cannot be recorded, and then raises nothing; an alarm that the store does not take is told all the
 * same.
 */
export async function raiseDetection(context: AuthorityContext, detection: Detection): Promise<void> {
  const { detections, store, clock, name } = context
  const told = { ...detection, detail: detection.detail.slice(0, MAX_DETAIL) }
  const key = `${told.detector} ${told.subject}`
  if (detections.rate.take(key, clock())) {
    await enter(context, told, key)
    detections.tell(told)
  }
  await store.alarms.raise({ ...told, lastAt: clock(), source: name }, MAX_ALARMS).catch(ignoreStore)
}

async function enter({ log, detections }: AuthorityContext, detection: Detection, key: string): Promise<void> {
  const { detector, subject, detail } = detection
  try {
    await log.append({ kind: 'detection', body: { detector, subject, detail } })
  } catch (error) {
    detections.rate.giveBack(key)
    throw error
  }
}

/** The record has it: what is done about it must not wait for the list of alarms. */
function ignoreStore(error: unknown): void {
  if (!isDoorwardError(error, 'store_unavailable')) throw error
}
