/** Which Node.js lines doorward runs on. */

export interface SupportedLine {
  readonly line: number
  /** First version that is accepted. */
  readonly floor: string
  /** First version that carries the security release of 2026-10-21. */
  readonly fixed: string
}

export type RuntimeVerdict = 'ok' | 'below_security_release' | 'too_old' | 'end_of_life' | 'untried' | 'unreadable'

export interface RuntimeJudgement {
  readonly verdict: RuntimeVerdict
  readonly version: string
  /** What would be accepted, as text. */
  readonly expected: string
  /** The security release of this version's line; null where the line is not supported. */
  readonly fixed: string | null
}

export const supportedLines: readonly SupportedLine[]

/** Judges a version such as `process.version`. Pure; never throws. */
export function judgeRuntime(version: string): RuntimeJudgement

/** True for `ok` and `below_security_release`. */
export function mayRun(verdict: RuntimeVerdict): boolean
