/** How a command fails: what was wrong, where, expected versus got, what to do next; and with which exit code. */

import { DoorwardError } from '@doorward/core'
import { ConfigurationError, problemLine } from '../config/problem.ts'
import { painter, printable } from './output.ts'
import type { Output } from './output.ts'

/** 0 done, 1 denied or failed check, 2 usage or configuration. */
export type ExitCode = 0 | 1 | 2

/** A command that ran and whose answer is no: denied, or a check that failed. */
export class CheckFailed extends DoorwardError {}

/** A server said no: the entry in the record, and the permission that would have allowed it. */
export class CallDenied extends CheckFailed {
  readonly decision: string | null
  readonly permission: string | null

  constructor(refusal: {
    readonly code: string
    readonly message: string
    readonly decision: string | null
    readonly permission: string | null
    readonly expected?: string | undefined
    readonly next?: string | undefined
  }) {
    const { code, message, decision, permission, expected, next } = refusal
    const advice = permission === null ? next : `the permission ${permission} would allow this`
    super(code, message, {
      ...(decision === null ? {} : { where: `decision ${decision}` }),
      ...(expected === undefined ? {} : { expected }),
      ...(advice === undefined ? {} : { next: advice }),
    })
    this.decision = decision
    this.permission = permission
  }
}

export function exitCodeOf(error: unknown): ExitCode {
  return error instanceof CheckFailed ? 1 : 2
}

function jsonOf(error: unknown): object {
  if (!(error instanceof DoorwardError)) return { error: { code: 'internal', message: String(error) } }
  const { code, message, where, expected, got, next } = error
  const problems = error instanceof ConfigurationError ? { problems: error.problems } : {}
  const denied = error instanceof CallDenied ? { decision: error.decision, permission: error.permission } : {}
  return { error: { code, message, where, expected, got, next, ...problems, ...denied } }
}

function humanLines(error: unknown, color: boolean): readonly string[] {
  const paint = painter(color)
  if (!(error instanceof DoorwardError)) {
    return [paint('red', `error: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`)]
  }
  if (error instanceof ConfigurationError) {
    return [
      paint('red', `error: ${error.message}`),
      ...error.problems.map((problem) => `  ${printable(problemLine(error.file, problem))}`),
      ...(error.next === undefined ? [] : [`  ${paint('dim', `next: ${error.next}`)}`]),
    ]
  }
  const field = (name: string, value: string | undefined) =>
    value === undefined ? [] : [`  ${name}: ${printable(value)}`]
  return [
    paint('red', `error: ${printable(error.message)}`) + paint('dim', ` (${error.code})`),
    ...field('where', error.where),
    ...field('expected', error.expected),
    ...field('got', error.got),
    ...field('next', error.next),
  ]
}

export function reportFailure(error: unknown, output: Output): ExitCode {
  if (output.json) output.out(JSON.stringify(jsonOf(error)))
  else for (const line of humanLines(error, output.color)) output.err(line)
  return exitCodeOf(error)
}
