/**
 * Expressions as closures: everything that the text decides is decided once, here. Policies repeat each other, and what is
 * written the same is one closure: a thousand of them are a few dozen, which stay in the processor's caches.
 */

import { expressionKey } from './expression-key.ts'
import type { Expression, Variable } from './expression.ts'
import {
  asBoolean,
  attribute,
  attributeOfEntity,
  binaries,
  call,
  callOf,
  found,
  hasAttribute,
  isOfType,
  matchesPattern,
  unary,
} from './operations.ts'
import { EvaluationError } from './evaluation-error.ts'
import { CedarSet, EntityUid, equal } from './value.ts'
import type { Value } from './value.ts'
import { isWithin } from './world.ts'
import type { World } from './world.ts'

/** Throws `EvaluationError` where the expression has no value. */
export type Evaluate = (world: World) => Value

export function compileExpression(expression: Expression): Evaluate {
  return new ExpressionCompiler().compile(expression)
}

/** One closure for each expression that is written differently. */
export class ExpressionCompiler {
  readonly #numbers = new Map<string, number>()
  readonly #closures: Evaluate[] = []
  /** Of the expressions that were looked at, by identity. */
  readonly #known = new WeakMap<Expression, number>()

  compile(expression: Expression): Evaluate {
    return this.#closures[this.number(expression)]!
  }

  /** The same for those that are written the same. */
  number(expression: Expression): number {
    const known = this.#known.get(expression)
    if (known !== undefined) return known
    const key = expressionKey(expression, (part) => this.number(part))
    let number = this.#numbers.get(key)
    if (number === undefined) {
      number = this.#closures.push(closureOf(expression, (part) => this.compile(part))) - 1
      this.#numbers.set(key, number)
    }
    this.#known.set(expression, number)
    return number
  }
}

type Compile = (part: Expression) => Evaluate

function closureOf(expression: Expression, compile: Compile): Evaluate {
  switch (expression.kind) {
    case 'literal': {
      const { value } = expression
      return () => value
    }
    case 'variable':
      return compileVariable(expression.name)
    case 'unary': {
      const { operator } = expression
      const operand = compile(expression.operand)
      return (world) => unary(operator, operand(world))
    }
    case 'binary':
      return compileBinary(expression, compile)
    case 'and': {
      const [left, right] = [compile(expression.left), compile(expression.right)]
      return (world) => asBoolean(left(world)) && asBoolean(right(world))
    }
    case 'or': {
      const [left, right] = [compile(expression.left), compile(expression.right)]
      return (world) => asBoolean(left(world)) || asBoolean(right(world))
    }
    case 'if':
      return compileIf(expression, compile)
    case 'get':
      return compileGet(expression, compile)
    case 'has': {
      const of = compile(expression.of)
      return compileHas(of, expression.path)
    }
    case 'like': {
      const { pattern } = expression
      const of = compile(expression.of)
      return (world) => matchesPattern(of(world), pattern)
    }
    case 'is':
      return compileIs(expression, compile)
    case 'set':
      return compileSet(expression.members.map(compile), expression)
    case 'record': {
      const members = [...expression.members].map(([name, member]) => [name, compile(member)] as const)
      return (world) => new Map(members.map(([name, member]) => [name, member(world)]))
    }
    case 'call':
      return compileCall(expression, compile)
  }
}

/** One closure each: a property by a name that varies is slow to read. */
function compileVariable(name: Variable): Evaluate {
  switch (name) {
    case 'principal':
      return (world) => world.principal
    case 'action':
      return (world) => world.action
    case 'resource':
      return (world) => world.resource
    case 'context':
      return (world) => world.context
  }
}

function compileIf(expression: Extract<Expression, { kind: 'if' }>, compile: Compile): Evaluate {
  const test = compile(expression.test)
  const [yes, no] = [compile(expression.yes), compile(expression.no)]
  return (world) => (asBoolean(test(world)) ? yes(world) : no(world))
}

/** `a is T in b` is `a is T && a in b`. */
function compileIs(expression: Extract<Expression, { kind: 'is' }>, compile: Compile): Evaluate {
  const { type } = expression
  const of = compile(expression.of)
  if (expression.within === null) return (world) => isOfType(of(world), type)
  const within = compile(expression.within)
  return (world) => isOfType(of(world), type) && binaries.in(of(world), within(world), world)
}

function compileBinary(expression: Extract<Expression, { kind: 'binary' }>, compile: Compile): Evaluate {
  const { operator } = expression
  const [left, right] = [compile(expression.left), compile(expression.right)]
  const literal = expression.right.kind === 'literal' ? expression.right.value : null
  if (operator === '==') {
    // What is no object is equal to nothing but itself.
    if (literal !== null && typeof literal !== 'object') return (world) => left(world) === literal
    return (world) => equal(left(world), right(world))
  }
  if (operator === 'in' && literal instanceof EntityUid) {
    return (world) => {
      const uid = left(world)
      return uid instanceof EntityUid ? isWithin(world, uid, literal) : binaries.in(uid, literal, world)
    }
  }
  const apply = binaries[operator]
  return (world) => apply(left(world), right(world), world)
}

/** What is asked of a variable itself needs no step of its own. */
function compileGet({ of: owner, name }: Extract<Expression, { kind: 'get' }>, compile: Compile): Evaluate {
  if (owner.kind !== 'variable') {
    const of = compile(owner)
    return (world) => attribute(of(world), name, world)
  }
  switch (owner.name) {
    case 'context':
      return (world) => found(world.context.get(name), 'attribute')
    case 'principal':
      return (world) => attributeOfEntity(world.principal, name, world)
    case 'action':
      return (world) => attributeOfEntity(world.action, name, world)
    case 'resource':
      return (world) => attributeOfEntity(world.resource, name, world)
  }
}

/** `a has b.c` is `a has b && a.b has c`. */
function compileHas(of: Evaluate, path: readonly string[]): Evaluate {
  const [first, ...more] = path
  if (first === undefined) throw new TypeError('has needs an attribute')
  const [last, ...before] = [first, ...more].toReversed() as [string, ...string[]]
  const way = before.toReversed()
  return (world) => {
    let at = of(world)
    for (const name of way) {
      if (!hasAttribute(at, name, world)) return false
      at = attribute(at, name, world)
    }
    return hasAttribute(at, last, world)
  }
}

/** A set of literals is made once. */
function compileSet(
  members: readonly Evaluate[],
  { members: written }: Extract<Expression, { kind: 'set' }>,
): Evaluate {
  const literals = written.flatMap((member) => (member.kind === 'literal' ? [member.value] : []))
  if (literals.length === written.length) {
    const set = new CedarSet(literals)
    return () => set
  }
  return (world) => new CedarSet(members.map((member) => member(world)))
}

/** An extension value of a literal is made once; an error in it is one each time. */
function compileCall({ name, operands }: Extract<Expression, { kind: 'call' }>, compile: Compile): Evaluate {
  const compiled = operands.map(compile)
  const [first, second] = compiled
  const [only] = operands
  const apply = callOf(name, operands.length)
  if (apply === null || first === undefined) {
    return (world) =>
      call(
        name,
        compiled.map((operand) => operand(world)),
      )
  }
  if (second !== undefined) return (world) => apply(first(world), second(world))
  return only?.kind === 'literal' ? once(() => call(name, [only.value])) : (world) => call(name, [first(world)])
}

function once(make: () => Value): Evaluate {
  try {
    const value = make()
    return () => value
  } catch (error) {
    if (!(error instanceof EvaluationError)) throw error
    return () => {
      throw error
    }
  }
}
