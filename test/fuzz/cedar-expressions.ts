/** Cedar expressions by chance: mostly well typed, so that they have values often, with every operator and function. */

import type { BinaryOperator, Expression, FunctionName } from '../../packages/core/src/policy/cedar/expression.ts'
import { actions, formBy, kinds, longBy, memberOf, namesOf, stringBy, types, uidOf } from './cedar-atoms.ts'
import type { Kind } from './cedar-atoms.ts'
import type { Chance } from './chance.ts'

type Literal = Extract<Expression, { kind: 'literal' }>['value']

export function literal(value: Literal): Expression {
  return { kind: 'literal', value }
}

export function call(name: FunctionName, ...operands: readonly Expression[]): Expression {
  return { kind: 'call', name, operands }
}

function binary(operator: BinaryOperator, left: Expression, right: Expression): Expression {
  return { kind: 'binary', operator, left, right }
}

function variable(name: 'principal' | 'action' | 'resource' | 'context'): Expression {
  return { kind: 'variable', name }
}

const orders = ['<', '<=', '>', '>='] as const
const ipTests = ['isIpv4', 'isIpv6', 'isLoopback', 'isMulticast'] as const
const decimalTests = ['lessThan', 'lessThanOrEqual', 'greaterThan', 'greaterThanOrEqual'] as const
const units = ['toMilliseconds', 'toSeconds', 'toMinutes', 'toHours', 'toDays'] as const

export interface Tastes {
  /** Of all expressions, those of another type than the place asks for. */
  readonly wrongTypes: number
  /** Of all values that are looked up, those looked up in `context.args`. */
  readonly args: number
}

const usual: Tastes = { wrongTypes: 0.012, args: 0.05 }

export class Expressions {
  readonly #chance: Chance
  readonly #tastes: Tastes

  constructor(chance: Chance, tastes: Tastes = usual) {
    this.#chance = chance
    this.#tastes = tastes
  }

  of(asked: Kind, depth: number): Expression {
    const chance = this.#chance
    const kind = chance.next() < this.#tastes.wrongTypes ? chance.of(kinds) : asked
    if (depth <= 0) return chance.next() < 0.3 ? this.#lookup(kind, 0) : this.#leaf(kind)
    const at = chance.next()
    if (at < 0.05) {
      return {
        kind: 'if',
        test: this.of('bool', depth - 1),
        yes: this.of(kind, depth - 1),
        no: this.of(kind, depth - 1),
      }
    }
    if (kind === 'bool') return this.#bool(depth)
    if (at < 0.4) return this.#lookup(kind, depth - 1)
    if (at < 0.5) return this.#leaf(kind)
    return this.#made(kind, depth - 1)
  }

  /** A value written down. */
  #leaf(kind: Kind): Expression {
    const chance = this.#chance
    switch (kind) {
      case 'bool':
        return literal(chance.next() < 0.5)
      case 'long':
        return literal(longBy(chance))
      case 'string':
        return literal(stringBy(chance))
      case 'entity':
        return this.#entity()
      case 'record':
        return chance.next() < 0.5 ? variable('context') : this.#record(0)
      case 'ip':
      case 'decimal':
      case 'datetime':
      case 'duration':
        return call(kind, literal(formBy(chance, kind)))
      case 'longs':
      case 'strings':
      case 'entities':
      case 'sets':
        return this.#set(kind, 0)
    }
  }

  #entity(): Expression {
    const chance = this.#chance
    const at = chance.next()
    if (at < 0.35) return variable('principal')
    if (at < 0.6) return variable('resource')
    if (at < 0.7) return variable('action')
    return literal(at < 0.75 ? chance.of(actions) : uidOf(chance))
  }

  #set(kind: keyof typeof memberOf, depth: number): Expression {
    const members = Array.from({ length: this.#chance.below(4) }, () => this.of(memberOf[kind], depth))
    return { kind: 'set', members }
  }

  #record(depth: number): Expression {
    const members = new Map<string, Expression>()
    for (let left = this.#chance.below(4); left > 0; left--) {
      const kind = this.#chance.of(kinds)
      members.set(this.#chance.of(namesOf[kind]), this.of(kind, depth))
    }
    return { kind: 'record', members }
  }

  /** What attributes, tags and members of records are looked up in. */
  #holder(depth: number): Expression {
    const chance = this.#chance
    if (chance.next() < this.#tastes.args) return { kind: 'get', of: variable('context'), name: 'args' }
    const at = chance.next()
    if (at < 0.45) return variable('context')
    if (at < 0.65) return variable('principal')
    if (at < 0.8) return variable('resource')
    return this.of(at < 0.9 ? 'record' : 'entity', depth - 1)
  }

  #lookup(kind: Kind, depth: number): Expression {
    const name = this.#chance.of(namesOf[kind])
    if (this.#chance.next() < 0.12) return binary('getTag', this.#entity(), this.#name(name, depth))
    return { kind: 'get', of: this.#holder(depth), name }
  }

  /** The name of a tag, mostly written down. */
  #name(name: string, depth: number): Expression {
    return this.#chance.next() < 0.9 ? literal(name) : this.of('string', depth - 1)
  }

  #made(kind: Exclude<Kind, 'bool'>, depth: number): Expression {
    const chance = this.#chance
    switch (kind) {
      case 'long':
        return this.#long(depth)
      case 'datetime':
        if (chance.next() < 0.3) return call('toDate', this.of('datetime', depth))
        return chance.next() < 0.6
          ? call('offset', this.of('datetime', depth), this.of('duration', depth))
          : this.#parsed(kind, depth)
      case 'duration':
        if (chance.next() < 0.3) return call('toTime', this.of('datetime', depth))
        return chance.next() < 0.5
          ? call('durationSince', this.of('datetime', depth), this.of('datetime', depth))
          : this.#parsed(kind, depth)
      case 'ip':
      case 'decimal':
        return this.#parsed(kind, depth)
      case 'record':
        return this.#record(depth)
      case 'longs':
      case 'strings':
      case 'entities':
      case 'sets':
        return this.#set(kind, depth)
      case 'string':
      case 'entity':
        return this.#lookup(kind, depth)
    }
  }

  /** Sometimes of a text that is only known later, and sometimes with the wrong number of arguments. */
  #parsed(kind: 'ip' | 'decimal' | 'datetime' | 'duration', depth: number): Expression {
    const at = this.#chance.next()
    if (at < 0.05) return call(kind, this.of('string', depth))
    const text = literal(formBy(this.#chance, kind))
    if (at < 0.2) return call(kind, { kind: 'if', test: this.of('bool', depth), yes: text, no: text })
    return at < 0.215 ? call(kind, text, text) : call(kind, text)
  }

  #long(depth: number): Expression {
    const chance = this.#chance
    const at = chance.next()
    if (at < 0.55) return binary(chance.of(['+', '-', '*'] as const), this.of('long', depth), this.of('long', depth))
    if (at < 0.7) return { kind: 'unary', operator: 'neg', operand: this.of('long', depth) }
    return call(chance.of(units), this.of('duration', depth))
  }

  #bool(depth: number): Expression {
    const chance = this.#chance
    const at = chance.next()
    if (at < 0.2) {
      const kind = chance.next() < 0.5 ? 'and' : 'or'
      return { kind, left: this.of('bool', depth - 1), right: this.of('bool', depth - 1) }
    }
    if (at < 0.28) return { kind: 'unary', operator: '!', operand: this.of('bool', depth - 1) }
    const kind = chance.of(kinds)
    if (at < 0.5) return this.#guarded(kind, depth - 1)
    return this.#about(kind, this.of(kind, depth - 1), depth - 1)
  }

  /** Looks first whether it is there. */
  #guarded(kind: Kind, depth: number): Expression {
    const name = this.#chance.of(namesOf[kind])
    if (this.#chance.next() < 0.2) {
      const [of, tag] = [this.#entity(), literal(name)]
      const right = this.#about(kind, binary('getTag', of, tag), depth)
      return { kind: 'and', left: binary('hasTag', of, tag), right }
    }
    const of = this.#holder(depth)
    const right = this.#about(kind, { kind: 'get', of, name }, depth)
    return { kind: 'and', left: { kind: 'has', of, path: [name] }, right }
  }

  /** True or false of that value. */
  #about(kind: Kind, value: Expression, depth: number): Expression {
    const chance = this.#chance
    if (chance.next() < 0.25) {
      const other = chance.next() < 0.05 ? chance.of(kinds) : kind
      return binary(chance.next() < 0.6 ? '==' : '!=', value, this.of(other, depth))
    }
    switch (kind) {
      case 'bool':
        return value
      case 'string':
        return { kind: 'like', of: value, pattern: this.#pattern() }
      case 'entity':
        return this.#aboutEntity(value, depth)
      case 'record':
        return { kind: 'has', of: value, path: this.#path() }
      case 'ip':
        return chance.next() < 0.4 ? call('isInRange', value, this.of('ip', depth)) : call(chance.of(ipTests), value)
      case 'decimal':
        return call(chance.of(decimalTests), value, this.of('decimal', depth))
      case 'long':
      case 'datetime':
      case 'duration':
        return binary(chance.of(orders), value, this.of(kind, depth))
      case 'longs':
      case 'strings':
      case 'entities':
      case 'sets': {
        const at = chance.next()
        if (at < 0.2) return { kind: 'unary', operator: 'isEmpty', operand: value }
        if (at < 0.5) return binary('contains', value, this.of(memberOf[kind], depth))
        return binary(at < 0.75 ? 'containsAll' : 'containsAny', value, this.of(kind, depth))
      }
    }
  }

  #aboutEntity(value: Expression, depth: number): Expression {
    const chance = this.#chance
    const type = chance.next() < 0.05 ? 'Action' : chance.of(types)
    const at = chance.next()
    if (at < 0.3) return binary('in', value, this.of('entity', depth))
    if (at < 0.5) return binary('in', value, this.of('entities', depth))
    if (at < 0.6) return { kind: 'is', of: value, type, within: null }
    if (at < 0.7) return { kind: 'is', of: value, type, within: this.of(at < 0.66 ? 'entity' : 'entities', depth) }
    if (at < 0.85) return { kind: 'has', of: value, path: this.#path() }
    return binary('hasTag', value, this.#name(chance.of(namesOf[chance.of(kinds)]), depth))
  }

  #path(): readonly string[] {
    const chance = this.#chance
    const name = chance.of(namesOf[chance.of(kinds)])
    if (chance.next() < 0.5) return [name]
    const way = Array.from({ length: chance.below(2) + 1 }, () => chance.of(['r', 'r', 'e', 'args', 'n']))
    return [...way, chance.of(['n', 's', 'e', 'r', 'b', '__proto__', 'constructor'])]
  }

  #pattern(): readonly (string | null)[] {
    const chance = this.#chance
    const parts = Array.from({ length: chance.below(5) }, () =>
      chance.next() < 0.4 ? null : chance.next() < 0.7 ? chance.of(['a', 'b', 'c']) : stringBy(chance),
    )
    return parts.filter((part) => part !== '')
  }
}
