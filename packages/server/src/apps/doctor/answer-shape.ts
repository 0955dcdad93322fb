/** Whether an answer says what is to be judged by it. What it leaves out could not be looked at, which is no kind of fine. */

import { isJsonObject } from '@doorward/core'
import type { JsonObject, JsonValue } from '@doorward/core'
import type { Finding } from './finding.ts'

export type Shape = (value: JsonValue | undefined) => boolean

export const aNumber: Shape = (value) => typeof value === 'number'
export const aText: Shape = (value) => typeof value === 'string'
export const aBoolean: Shape = (value) => typeof value === 'boolean'

export function members(shapes: Readonly<Record<string, Shape>>): Shape {
  return (value) => isJsonObject(value) && Object.entries(shapes).every(([name, holds]) => holds(value[name]))
}

export function listOf(shape: Shape): Shape {
  return (value) => Array.isArray(value) && (value as readonly JsonValue[]).every((one) => shape(one))
}

/** Said to be none: the member is there. */
export function orNull(shape: Shape): Shape {
  return (value) => value === null || shape(value)
}

/** One look at an answer, and the members without which it says nothing. */
export interface AnswerLook<Told extends readonly unknown[]> {
  readonly check: string
  readonly needs: Readonly<Record<string, Shape>>
  readonly look: (status: JsonObject, ...told: Told) => Finding | readonly Finding[]
}

export function findingsOf<Told extends readonly unknown[]>(
  looks: readonly AnswerLook<Told>[],
  status: JsonObject,
  ...told: Told
): readonly Finding[] {
  return looks.flatMap(({ check, needs, look }) => {
    const unsaid = Object.keys(needs).filter((name) => needs[name]?.(status[name]) !== true)
    return unsaid.length === 0 ? look(status, ...told) : unsaidFinding(check, unsaid)
  })
}

function unsaidFinding(check: string, names: readonly string[]): Finding {
  return {
    check,
    verdict: 'unknown',
    message: `the answer does not say it: ${names.join(', ')} is missing, or of another form`,
    next: 'have it answer by the version of this command: doorward --version on both machines',
  }
}
