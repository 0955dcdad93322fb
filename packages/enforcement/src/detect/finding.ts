/** What a detector by rate or state has found: it stands for as long as later looks find it again. */

import type { Severity } from '@doorward/core'

/** Every detector by rate or state; `docs/detectors.md` has a section of the same name on each. */
export const detectorNames = [
  'authentication_failures',
  'denied_rate',
  'limit_exhausted',
  'renewal_late',
  'record_lag',
  'trust_state_stale',
  'clock_step',
  'upstream_failing',
  'policy_refused',
  'witness_refused',
  'definition_changed',
] as const
export type DetectorName = (typeof detectorNames)[number]

export interface Found {
  readonly detector: DetectorName
  /** An address, a /64, a SPIFFE ID, `server <name>`, `export <name>`, or what the detector is about. */
  readonly subject: string
  readonly severity: Severity
  /** For the operator: what was seen, in numbers. No secrets. */
  readonly detail: string
}

/** Stands for subjects beyond those that are named. */
export const otherSubjects = 'others'
/** Stands for all callers together. */
export const allSubjects = 'all'
