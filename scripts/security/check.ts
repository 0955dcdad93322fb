/** What a check has shown. */

/** `not_run` is no kind of passed: what could not be asked is told, and by whom it is asked instead. */
export interface CheckResult {
  readonly name: string
  readonly verdict: 'passed' | 'failed' | 'not_run'
  readonly summary: string
  /** One line each: what, where, and what to do. */
  readonly findings: readonly string[]
}

export function resultOf(name: string, findings: readonly string[], passed: string): CheckResult {
  const verdict = findings.length === 0 ? 'passed' : 'failed'
  return { name, verdict, summary: verdict === 'passed' ? passed : `${findings.length} found`, findings }
}
