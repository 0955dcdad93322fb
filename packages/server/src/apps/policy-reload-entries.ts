/** What the record and operators are told of a policy that changes, or that does not: bounded. */

import { isDoorwardError } from '@doorward/core'
import type { PolicyVersion } from '@doorward/core'
import { ConfigurationError, problemLine } from '../config/problem.ts'
import { describeProblem, PolicyInvalid } from '../policy/policy-problem.ts'
import type { PolicyChange } from '../policy/policy-change.ts'

/** Why a policy was refused. */
export interface Mistakes {
  readonly code: string
  /** One line each. */
  readonly problems: readonly string[]
}

interface Beside {
  /** Keys that have changed too, and that the next start takes up. */
  readonly restart: readonly string[]
  /** Keys beside the policy that count anew with it. */
  readonly also: readonly string[]
}

export type PolicyOutcome =
  | ({ readonly outcome: 'changed'; readonly change: PolicyChange } & Beside)
  | ({ readonly outcome: 'unchanged'; readonly version: PolicyVersion } & Beside)
  /** The policy before stays. */
  | ({ readonly outcome: 'refused'; readonly version: PolicyVersion } & Mistakes)

/** So many are named, each with so many characters; beside them stands how many there are. */
const MAX_NAMED = 50
const MAX_LENGTH = 200
const MAX_PROBLEMS = 100
const MAX_LINE = 500

interface Named {
  readonly count: number
  readonly named: readonly string[]
}

/** The first of them, each cut. */
export function named(texts: readonly string[]): Named {
  return { count: texts.length, named: texts.slice(0, MAX_NAMED).map((text) => cut(text, MAX_LENGTH)) }
}

function cut(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length - 1).toWellFormed()}…`
}

function shownVersion({ digest, sequence }: PolicyVersion): object | null {
  return sequence === 0 ? null : { digest, sequence }
}

/** What has changed, with `from` null at the start. */
export function shownChange({ from, to, policies, settings }: PolicyChange) {
  const { added, removed, changed } = policies
  return {
    from: shownVersion(from),
    to: shownVersion(to),
    policies: { added: named(added), removed: named(removed), changed: named(changed) },
    settings: { added: named(settings.added), removed: named(settings.removed) },
  }
}

/** An entry of the kind `admin`. */
export function activationEntry(change: PolicyChange, by: string): object {
  return { change: 'policy.activate', by, ...shownChange(change), ...warned(change) }
}

/** An entry of the kind `admin`: from now on decisions are compared with this policy, which is not enforced. */
export function shadowEntry(change: PolicyChange, by: string): object {
  const { to, policies } = change
  return {
    change: 'policy.shadow',
    by,
    candidate: { digest: to.digest, policies: named(policies.added) },
    ...warned(change),
  }
}

/** What is doubtful about it, where anything is. */
function warned({ warnings }: PolicyChange): object {
  return warnings.length === 0 ? {} : { warnings: named(warnings.map(describeProblem)) }
}

/** An entry of the kind `admin`: nothing is compared. */
export function candidateRefusalEntry({ code, problems }: Mistakes, by: string): object {
  return { change: 'policy.shadow.refuse', by, code, problems: named(problems) }
}

/** An entry of the kind `admin`. */
export function refusalEntry({ code, problems }: Mistakes, kept: PolicyVersion, by: string): object {
  return { change: 'policy.refuse', by, code, kept: shownVersion(kept), problems: named(problems) }
}

/** Every mistake that an error of reading or preparing a policy tells. */
export function mistakesIn(error: unknown): Mistakes {
  const { code, lines } = told(error)
  return { code, problems: lines.slice(0, MAX_PROBLEMS).map((line) => cut(line, MAX_LINE)) }
}

function told(error: unknown): { readonly code: string; readonly lines: readonly string[] } {
  if (error instanceof ConfigurationError)
    return { code: error.code, lines: error.problems.map((problem) => problemLine(error.file, problem)) }
  if (error instanceof PolicyInvalid) return { code: error.code, lines: error.problems.map(describeProblem) }
  if (!isDoorwardError(error)) return { code: 'internal', lines: [String(error)] }
  const { code, message, where, expected, got } = error
  const place = where === undefined ? '' : `${where}: `
  const rest = [expected === undefined ? '' : `; expected ${expected}`, got === undefined ? '' : `, got ${got}`]
  return { code, lines: [`${place}${message}${rest.join('')}`] }
}

export function shownWarnings({ warnings }: PolicyChange): readonly string[] {
  return warnings.slice(0, MAX_PROBLEMS).map((warning) => cut(describeProblem(warning), MAX_LINE))
}

/** As the admin API answers it. */
export function shownOutcome(told: PolicyOutcome): object {
  switch (told.outcome) {
    case 'changed': {
      const { outcome, change } = told
      return { outcome, ...shownChange(change), warnings: shownWarnings(change), ...shownBeside(told) }
    }
    case 'unchanged':
      return { outcome: told.outcome, version: shownVersion(told.version), ...shownBeside(told) }
    case 'refused':
      return { outcome: told.outcome, kept: shownVersion(told.version), code: told.code, problems: told.problems }
  }
}

function shownBeside({ restart, also }: Beside): object {
  return { needs_restart: restart, ...(also.length === 0 ? {} : { also }) }
}
