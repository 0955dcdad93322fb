/** Thresholds of the configuration as they are counted by, and a loud word about those that are off. */

import { addressKey, RefusalRates } from '@doorward/enforcement'
import { randomBytes } from '@doorward/sdk'
import type { DetectionSettings } from '../config/detections.ts'

export function refusalRates(thresholds: DetectionSettings): RefusalRates {
  const random = () => new DataView(randomBytes(4).buffer).getUint32(0)
  return new RefusalRates({ ...thresholds.refusals, sourceKey: addressKey, random, monotonic: () => performance.now() })
}

export function warnOfOff({ off }: DetectionSettings, warn: (code: string, text: string) => void): void {
  for (const name of off)
    warn('detector_off', `the detector ${name} is switched off, as configured: nobody hears of it`)
}
