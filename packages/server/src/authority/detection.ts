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
  const { detector, subject, source } = detection
  const by = source === undefined ? {} : { source }
  const told = { detector, subject, detail: detection.detail.slice(0, MAX_DETAIL), ...by, ...weightOf(detection) }
  const key = `${told.detector} ${told.subject}`
  if (detections.rate.take(key, clock())) {
    await enter(context, told, key)
    detections.tell(told)
  }
  const alarm = { source: name, detector, subject, detail: told.detail, ...by, lastAt: clock() }
  await store.alarms.raise(alarm, MAX_ALARMS).catch(ignoreStore)
}

/** What still stands: the alarm is refreshed, the record is not. Throws what the store throws. */
export async function refreshAlarm({ store, clock, name }: AuthorityContext, detection: Detection): Promise<void> {
  const { detector, subject, source = name } = detection
  const detail = detection.detail.slice(0, MAX_DETAIL)
  await store.alarms.raise({ detector, subject, detail, source, lastAt: clock() }, MAX_ALARMS)
}

/** What stood is over. The alarm stays as it was, with its time. Throws `record_*`. */
export async function endDetection({ log }: AuthorityContext, detection: Detection): Promise<void> {
  const { detector, subject, source } = detection
  const by = source === undefined ? {} : { source }
  await log.append({ kind: 'detection', body: { detector, subject, ...by, ...weightOf(detection), ended: true } })
}

/** Where the one who has found it says more than the detector. */
function weightOf({ severity, since }: Detection): Pick<Detection, 'severity' | 'since'> {
  return { ...(severity === undefined ? {} : { severity }), ...(since === undefined ? {} : { since }) }
}

async function enter({ log, detections }: AuthorityContext, detection: Detection, key: string): Promise<void> {
  try {
    await log.append({ kind: 'detection', body: detection })
  } catch (error) {
    detections.rate.giveBack(key)
    throw error
  }
}

/** The record has it: what is done about it must not wait for the list of alarms. */
function ignoreStore(error: unknown): void {
  if (!isDoorwardError(error, 'store_unavailable')) throw error
}
