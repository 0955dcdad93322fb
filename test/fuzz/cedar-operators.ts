/** How often every operator and function of Cedar came. */

import { binaryOperators, functions } from '../../packages/core/src/policy/cedar/expression.ts'
import type { Expression } from '../../packages/core/src/policy/cedar/expression.ts'
import { partsOf } from '../../packages/core/src/policy/cedar/reads.ts'

/** By name: `decision allow`, `operator ==`, `function ip`. */
export type Counts = Map<string, number>

export const everyOperator: readonly string[] = [
  ...['!', 'neg', 'isEmpty', ...binaryOperators].map((name) => `operator ${name}`),
  ...['literal', 'variable', 'and', 'or', 'if', 'get', 'has', 'has with a path'].map((name) => `operator ${name}`),
  ...['like', 'is', 'is in', 'set', 'record'].map((name) => `operator ${name}`),
  ...Object.keys(functions).map((name) => `function ${name}`),
]

export function count(counts: Counts, name: string): void {
  counts.set(name, (counts.get(name) ?? 0) + 1)
}

export function countOperators(expression: Expression, counts: Counts): void {
  count(counts, nameOf(expression))
  for (const part of partsOf(expression)) countOperators(part, counts)
}

function nameOf(expression: Expression): string {
  switch (expression.kind) {
    case 'unary':
    case 'binary':
      return `operator ${expression.operator}`
    case 'call':
      return `function ${expression.name}`
    case 'has':
      return expression.path.length > 1 ? 'operator has with a path' : 'operator has'
    case 'is':
      return expression.within === null ? 'operator is' : 'operator is in'
    case 'literal':
    case 'variable':
    case 'and':
    case 'or':
    case 'if':
    case 'get':
    case 'like':
    case 'set':
    case 'record':
      return `operator ${expression.kind}`
  }
}
