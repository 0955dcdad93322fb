/** Mistakes in a configuration, all of them at once, each with its place. */

import { DoorwardError } from '@doorward/core'

export interface Problem {
  /** Another file than the configuration itself, as it is named there. */
  readonly file?: string
  /** 1-based line in the file; null when the file as a whole is meant. */
  readonly line: number | null
  /** 1-based, where it is known. */
  readonly column?: number
  /** Dotted path, such as `security.tls.min_version`. */
  readonly path: string
  readonly message: string
  readonly expected: string | null
  readonly got: string | null
}

/** A mistake that is known by its keys and not yet by its line. */
export interface CrossProblem {
  readonly keys: readonly (string | number)[]
  readonly message: string
  readonly expected: string | null
  readonly got: string | null
}

export class ConfigurationError extends DoorwardError {
  readonly file: string
  readonly problems: readonly Problem[]

  constructor(
    file: string,
    problems: readonly Problem[],
    next = 'mend the lines above, then run: doorward config check',
  ) {
    const count = problems.length === 1 ? '1 mistake' : `${problems.length} mistakes`
    super('configuration_invalid', `${count} in ${file}`, { where: file, next })
    this.file = file
    this.problems = problems
  }
}

/** One line per mistake: `file:line:column path: message; expected …, got …`. */
export function problemLine(configuration: string, problem: Problem): string {
  const { file = configuration } = problem
  const column = problem.column === undefined ? '' : `:${problem.column}`
  const place = problem.line === null ? file : `${file}:${problem.line}${column}`
  const expected = problem.expected === null ? '' : `; expected ${problem.expected}`
  const got = problem.got === null ? '' : `, got ${problem.got}`
  const top = problem.file === undefined ? ' (top level)' : ''
  return `${place}${problem.path === '' ? top : ` ${problem.path}`}: ${problem.message}${expected}${got}`
}
