/** What policies look at, so that nothing else has to be made for a decision. */

import type { Expression, Policy } from './expression.ts'

export interface ContextReads {
  /** Attributes of the context by name; null where a policy looks at the context as a whole. */
  readonly attributes: ReadonlySet<string> | null
  /** Members of `context.args` by name; null where a policy looks at them as a whole. */
  readonly args: ReadonlySet<string> | null
}

class Reads {
  readonly attributes = new Set<string>()
  readonly args = new Set<string>()
  whole = false
  wholeArgs = false

  of(expression: Expression): void {
    if (expression.kind === 'get') this.#path(expression.of, expression.name)
    else if (expression.kind === 'has') this.#has(expression.of, expression.path)
    else if (isContext(expression)) this.whole = true
    else for (const part of partsOf(expression)) this.of(part)
  }

  #path(of: Expression, name: string): void {
    if (isContext(of)) {
      this.attributes.add(name)
      if (name === 'args') this.wholeArgs = true
    } else if (isArgs(of)) {
      this.attributes.add('args')
      this.args.add(name)
    } else this.of(of)
  }

  /** `context has a.b` looks at `a` and at its `b`. */
  #has(of: Expression, [first, second]: readonly string[]): void {
    if (first === undefined) return this.of(of)
    if (isContext(of) && first === 'args' && second !== undefined) {
      this.attributes.add('args')
      this.args.add(second)
    } else if (isContext(of)) this.attributes.add(first)
    else this.#path(of, first)
  }
}

function isContext(expression: Expression): boolean {
  return expression.kind === 'variable' && expression.name === 'context'
}

function isArgs(expression: Expression): boolean {
  return expression.kind === 'get' && expression.name === 'args' && isContext(expression.of)
}

/** The expressions of which this one is made. */
export function partsOf(expression: Expression): readonly Expression[] {
  switch (expression.kind) {
    case 'literal':
    case 'variable':
      return []
    case 'unary':
      return [expression.operand]
    case 'binary':
    case 'and':
    case 'or':
      return [expression.left, expression.right]
    case 'if':
      return [expression.test, expression.yes, expression.no]
    case 'get':
    case 'has':
    case 'like':
      return [expression.of]
    case 'is':
      return expression.within === null ? [expression.of] : [expression.of, expression.within]
    case 'set':
      return expression.members
    case 'record':
      return [...expression.members.values()]
    case 'call':
      return expression.operands
  }
}

export function looksAt(policy: Policy, attribute: string): boolean {
  const { attributes } = readsOf([policy])
  return attributes === null || attributes.has(attribute)
}

export function readsOf(policies: readonly Policy[]): ContextReads {
  const reads = new Reads()
  for (const { conditions } of policies) for (const { body } of conditions) reads.of(body)
  return {
    attributes: reads.whole ? null : reads.attributes,
    args: reads.whole || reads.wholeArgs ? null : reads.args,
  }
}
