/** What findings in the record are called, and how much each matters where its entry does not say. `docs/detectors.md` tells of every one. */

export const severities = ['low', 'medium', 'high', 'critical'] as const
export type Severity = (typeof severities)[number]

export function isSeverity(value: unknown): value is Severity {
  return severities.some((one) => one === value)
}

/** Whether a severity is at least the other. */
export function isAtLeast(severity: Severity, least: Severity): boolean {
  return severities.indexOf(severity) >= severities.indexOf(least)
}

/** Entries of the newer ones carry a severity of their own, which counts. */
export const detectors = {
  'DT-1': 'critical',
  'DT-2': 'high',
  'DT-3': 'critical',
  'DT-4': 'medium',
  'DT-5': 'critical',
  'DT-6': 'critical',
  'DT-7': 'medium',
  'DT-8': 'high',
  key_file_mode: 'high',
  key_mode: 'high',
  root_mode: 'high',
  state_folder_mode: 'high',
  store_went_back: 'critical',
  log_went_back: 'critical',
  log_contradicted: 'critical',
  log_key_changed: 'critical',
  operator_invited: 'medium',
  authentication_failures: 'high',
  denied_rate: 'medium',
  limit_exhausted: 'medium',
  renewal_late: 'medium',
  record_lag: 'high',
  trust_state_stale: 'high',
  clock_step: 'high',
  upstream_failing: 'high',
  policy_refused: 'medium',
  witness_refused: 'critical',
  definition_changed: 'high',
  front_reuse: 'high',
} as const satisfies Readonly<Record<string, Severity>>

export type DetectorId = keyof typeof detectors

export function isDetectorId(text: string): text is DetectorId {
  return Object.hasOwn(detectors, text)
}

/** `high` for one that is not known here. */
export function detectorSeverity(detector: string): Severity {
  return isDetectorId(detector) ? detectors[detector] : 'high'
}
