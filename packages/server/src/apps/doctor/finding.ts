/** What a look has shown. */

import { DoorwardError } from '@doorward/core'

/**
 * `fine` was looked at and holds. `warning` works, and should not stay so. `failure` does not work, or is not safe. `unknown` could not
 * be looked at, which is no kind of fine.
 */
export type Verdict = 'fine' | 'warning' | 'failure' | 'unknown'

export interface Finding {
  /** Of the look, lowercase with `_`; the same one may be found several times. */
  readonly check: string
  readonly verdict: Verdict
  /** File, address, key of the configuration, or name. */
  readonly where?: string
  readonly message: string
  readonly expected?: string
  readonly got?: string
  /** What to do; with everything that is not fine. */
  readonly next?: string
}

type Told = Omit<Finding, 'check' | 'verdict'>

export function fine(check: string, message: string, more: Omit<Told, 'message'> = {}): Finding {
  return { check, verdict: 'fine', message, ...more }
}

export function warning(check: string, told: Told & { readonly next: string }): Finding {
  return { check, verdict: 'warning', ...told }
}

export function failure(check: string, told: Told & { readonly next: string }): Finding {
  return { check, verdict: 'failure', ...told }
}

/** An error as the finding of a look: what it says of place, expectation and remedy stays. */
export function findingOf(
  check: string,
  verdict: Verdict,
  error: unknown,
  next = 'see what it says, and run this again',
): Finding {
  if (!(error instanceof DoorwardError))
    return { check, verdict, message: error instanceof Error ? error.message : String(error), next }
  const { message, where, expected, got } = error
  return {
    check,
    verdict,
    message,
    ...(where === undefined ? {} : { where }),
    ...(expected === undefined ? {} : { expected }),
    ...(got === undefined ? {} : { got }),
    next: error.next ?? next,
  }
}
