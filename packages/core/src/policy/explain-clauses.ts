/** A policy as the clauses that must all hold, one by one, and what each of them came to. */

import { compileExpression } from './cedar/compile-expression.ts'
import { EvaluationError } from './cedar/evaluation-error.ts'
import type { Expression, Policy } from './cedar/expression.ts'
import { asBoolean } from './cedar/operations.ts'
import { partsOf } from './cedar/reads.ts'
import type { World } from './cedar/world.ts'
import { expressionText, valueText } from './explain-text.ts'

/** Part of a condition. In `unless` each must not hold. */
export interface Clause {
  readonly kind: 'when' | 'unless'
  readonly body: Expression
}

/** Something that a clause looked at. */
export interface SeenValue {
  readonly text: string
  /** As Cedar writes it, cut at 200 characters; in parentheses where there is no value. */
  readonly value: string
}

export interface ClauseOutcome {
  readonly clause: Clause
  readonly outcome: 'holds' | 'does-not-hold' | 'fails'
  /** Why there is no value, where it fails. */
  readonly error: string | null
}

const MAX_VALUES = 12
const MAX_VALUE = 200

/** In the order in which Cedar looks at them. The policy holds when all do; the first that does not decides. */
export function clausesOf({ conditions }: Policy): readonly Clause[] {
  return conditions.flatMap(({ kind, body }) =>
    partsOfLogic(kind === 'when' ? 'and' : 'or', body).map((part) => ({ kind, body: part })),
  )
}

function partsOfLogic(kind: 'and' | 'or', body: Expression): readonly Expression[] {
  const parts: Expression[] = []
  const open = [body]
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (next.kind === kind) open.push(next.right, next.left)
    else parts.push(next)
  }
  return parts
}

export function outcomeOf(clause: Clause, world: World): ClauseOutcome {
  try {
    const value = asBoolean(compileExpression(clause.body)(world))
    return { clause, outcome: value === (clause.kind === 'when') ? 'holds' : 'does-not-hold', error: null }
  } catch (error) {
    if (!(error instanceof EvaluationError)) throw error
    return { clause, outcome: 'fails', error: error.message }
  }
}

/** Attributes, tests for attributes and parts of the request in the clause, each once, with their values. */
export function seenBy({ body }: Clause, world: World, address: string): readonly SeenValue[] {
  const seen = new Map<string, SeenValue>()
  for (const part of looked(body)) {
    if (seen.size >= MAX_VALUES) break
    const text = expressionText(part)
    if (!seen.has(text)) seen.set(text, { text, value: seenValue(part, text, world, address) })
  }
  return [...seen.values()]
}

function* looked(expression: Expression): Iterable<Expression> {
  if (expression.kind === 'has' || isPath(expression)) yield expression
  else for (const part of partsOf(expression)) yield* looked(part)
}

/** `principal`, `context.args.path`. */
function isPath(expression: Expression): boolean {
  if (expression.kind === 'get') return isPath(expression.of)
  return expression.kind === 'variable'
}

function seenValue(expression: Expression, text: string, world: World, address: string): string {
  try {
    const value = compileExpression(expression)(world)
    const shown = text === 'context.address' ? `ip(${JSON.stringify(address)})` : valueText(value)
    return shown.length > MAX_VALUE ? `${shown.slice(0, MAX_VALUE)}…` : shown
  } catch (error) {
    if (!(error instanceof EvaluationError)) throw error
    return `(${error.message})`
  }
}
