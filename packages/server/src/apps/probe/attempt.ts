/** An attempt: what is tried, what has to become of it, and which requirement that proves. Pure. */

import type { WireOutcome } from './wire.ts'

/** Kinds, in the order in which they are tried. */
export const kinds = [
  'baseline',
  'handshake',
  'token',
  'standing',
  'expiry',
  'authorization',
  'transport',
  'message',
  'headers',
  'authority',
  'limits',
  'record',
] as const
export type Kind = (typeof kinds)[number]

export interface Attempt {
  /** Unique: `token-alg-none`. */
  readonly id: string
  readonly kind: Kind
  /** What is tried, for people. */
  readonly title: string
  /** Of the requirements: `OS25-D2`, `ADR11-DEC-2`. */
  readonly requirement: string
  readonly run: () => Promise<Judged>
}

/** `not_run`: could not be tried here, which is no kind of passed. */
export interface Judged {
  readonly verdict: 'passed' | 'failed' | 'not_run'
  readonly expected: string
  readonly got: string
  readonly decisions: readonly ToldDecision[]
}

/** What an answer told of the decision about it. */
export interface ToldDecision {
  /** `<origin>#<index>`; null where the answer names none. */
  readonly entry: string | null
  readonly code: string
  /** The call may have been let in all the same, and have ended so. False by default. */
  readonly mayEnd?: boolean
}

/** What was told of one request: its code, or status, or how the connection ended. */
export function toldBy({ answers, ended }: WireOutcome): string {
  const [first] = answers
  if (first === undefined) return ended ?? 'silent'
  return first.headers.get('doorward-code') ?? `status_${first.status}`
}

/** In place of the code of a call of which the connection ended before its answer: it may have been let in. */
export const cutCode = 'cut'

export function decisionsIn({ answers }: WireOutcome): Judged['decisions'] {
  return answers.flatMap(({ headers }) => {
    const code = headers.get('doorward-code')
    return code === undefined ? [] : [{ entry: headers.get('doorward-decision') ?? null, code }]
  })
}

/** Refused: by one of the codes, or before any answer by a connection that ended so. */
export function refusedBy(outcome: WireOutcome, expected: readonly string[]): Judged {
  const got = toldBy(outcome)
  const one = outcome.answers.length <= 1
  return {
    verdict: got.startsWith('not_sent') ? 'not_run' : one && expected.includes(got) ? 'passed' : 'failed',
    expected: expected.join(' or '),
    got: one ? got : `${outcome.answers.length} answers, the first ${got}`,
    decisions: decisionsIn(outcome),
  }
}

export function judged(passed: boolean, expected: string, got: string, outcome?: WireOutcome): Judged {
  return {
    verdict: passed ? 'passed' : 'failed',
    expected,
    got,
    decisions: outcome === undefined ? [] : decisionsIn(outcome),
  }
}

export function notRun(expected: string, why: string): Judged {
  return { verdict: 'not_run', expected, got: why, decisions: [] }
}
