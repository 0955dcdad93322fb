/** The thresholds of the detectors, as those who count ask for them. */

import { configuration } from './schema.ts'
import type { Configuration } from './schema.ts'

/** Null where a detector is off. */
export interface DetectionSettings {
  readonly refusals: {
    readonly authenticationFailures: RateSettings | null
    readonly limitExhausted: RateSettings | null
    readonly deniedRate: JumpSettings | null
    readonly deniedRateAll: JumpSettings | null
  }
  readonly renewalPercent: number | null
  readonly recordLagSeconds: number | null
  /** Share of the time for which the trust state counts in full. */
  readonly trustPercent: number | null
  readonly clockSeconds: number | null
  readonly upstream: {
    readonly inARow: number
    readonly percent: number
    readonly least: number
    readonly seconds: number
  } | null
  readonly policy: boolean
  readonly witness: boolean
  readonly definitions: boolean
  /** Names of those that are off. */
  readonly off: readonly string[]
}

interface RateSettings {
  readonly count: number
  readonly seconds: number
}

interface JumpSettings {
  readonly seconds: number
  readonly least: number
  readonly times: number
  readonly most: number
}

export function detectionSettings({ detections }: Pick<Configuration, 'detections'>): DetectionSettings {
  const { upstream_failing: upstream } = detections
  return {
    refusals: {
      authenticationFailures: unlessOff(detections.authentication_failures),
      limitExhausted: unlessOff(detections.limit_exhausted),
      deniedRate: unlessOff(detections.denied_rate),
      deniedRateAll: unlessOff(detections.denied_rate_all),
    },
    renewalPercent: unlessOff(detections.renewal_late)?.percent ?? null,
    recordLagSeconds: unlessOff(detections.record_lag)?.seconds ?? null,
    trustPercent: unlessOff(detections.trust_state_stale)?.percent ?? null,
    clockSeconds: unlessOff(detections.clock_step)?.seconds ?? null,
    upstream: upstream.enabled ? { ...upstream, inARow: upstream.in_a_row } : null,
    policy: detections.policy_refused.enabled,
    witness: detections.witness_refused.enabled,
    definitions: detections.definition_changed.enabled,
    off: Object.entries(detections).flatMap(([name, { enabled }]) => (enabled ? [] : [name])),
  }
}

function unlessOff<T extends { readonly enabled: boolean }>(one: T): T | null {
  return one.enabled ? one : null
}

/** Where nothing is configured. */
export const defaultDetections: DetectionSettings = detectionSettings(
  configuration.parse({ trust_domain: 'default.example' }),
)
