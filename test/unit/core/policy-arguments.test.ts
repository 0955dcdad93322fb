/** Arguments as values, their types from input schemas, and types that are taken from what policies do. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readArguments, writeArgumentType } from '../../../packages/core/src/policy/argument-type.ts'
import type { ArgumentType } from '../../../packages/core/src/policy/argument-type.ts'
import { argumentRecord } from '../../../packages/core/src/policy/arguments.ts'
import { Decimal } from '../../../packages/core/src/policy/cedar/decimal.ts'
import { Unfit } from '../../../packages/core/src/policy/cedar/unfit.ts'
import { CedarSet } from '../../../packages/core/src/policy/cedar/value.ts'
import type { Value } from '../../../packages/core/src/policy/cedar/value.ts'
import { inferArguments } from '../../../packages/core/src/policy/inferred-arguments.ts'
import { parsed } from '../../fuzz/cedar-official.ts'

/** A value on one line. */
function shown(value: Value | undefined): string {
  if (value === undefined) return 'nothing'
  if (value instanceof Unfit) return `unfit: ${value.typeName}`
  if (value instanceof Decimal) return `decimal ${value.tenThousandths}`
  if (value instanceof CedarSet) return `[${value.members.map(shown).join(', ')}]`
  if (value instanceof Map)
    return `{${Array.from(value as ReadonlyMap<string, Value>, ([name, one]) => `${name}: ${shown(one)}`).join(', ')}}`
  if (typeof value === 'object') return value.constructor.name
  return Object.is(value, -0) ? 'minus zero' : `${typeof value} ${String(value)}`
}

function read(json: string, type: ArgumentType | null = null): string {
  const members = new Map(type === null ? [] : [['a', { type, required: true }]])
  const args: unknown = JSON.parse(`{"a":${json}}`)
  return shown(argumentRecord(args, { kind: 'record', members }, null).get('a'))
}

const inexact = 'unfit: a number that is no decimal of 14 and 4 digits'
const beyond = 'unfit: a number beyond 2^53'

test('strings, booleans and whole numbers are themselves, other numbers decimals, all else unfit', () => {
  const cases = {
    '"x"': 'string x',
    true: 'boolean true',
    '3': 'number 3',
    '3.0': 'number 3',
    '-0': 'number 0',
    '-0.0': 'number 0',
    '9007199254740991': 'number 9007199254740991',
    '-9007199254740991': 'number -9007199254740991',
    '9007199254740992': beyond,
    '9007199254740993': beyond,
    '1e21': beyond,
    '1e400': inexact,
    '0.1': 'decimal 1000',
    '-0.1': 'decimal -1000',
    '12345.6789': 'decimal 123456789',
    '12345.67891': inexact,
    '1e-7': inexact,
    '99999999999.1234': 'decimal 999999999991234',
    null: 'unfit: null',
    '{"b":null}': '{b: unfit: null}',
    '{"__entity":{"type":"User","id":"a"}}': '{__entity: {type: string User, id: string a}}',
    '{"__extn":{"fn":"ip","arg":"::1"}}': '{__extn: {fn: string ip, arg: string ::1}}',
    '{"__proto__":{"admin":true}}': '{__proto__: {admin: boolean true}}',
    '{}': '{}',
    '[]': '[]',
    '[1,1,2]': '[number 1, number 2]',
    '[[1],[1],[2]]': '[[number 1], [number 2]]',
    '[1,null]': 'unfit: an array with null',
    '[[null]]': 'unfit: an array with an array with null',
    '[0.12345]': `unfit: an array with ${inexact.slice('unfit: '.length)}`,
    '[{"b":1},{"b":1}]': '[{b: number 1}]',
  }
  assert.deepEqual(Object.fromEntries(Object.keys(cases).map((json) => [json, read(json)])), cases)
})

test('where the tool says number, whole numbers are decimals too, in sets and records as well', () => {
  const decimal = { kind: 'decimal' } as const
  assert.equal(read('5', decimal), 'decimal 50000')
  assert.equal(read('-0', decimal), 'decimal 0')
  assert.equal(read('99999999999999', decimal), 'decimal 999999999999990000')
  assert.equal(read('100000000000000', decimal), inexact)
  assert.equal(read('9007199254740992', decimal), beyond)
  assert.equal(read('[5]', { kind: 'set', of: decimal }), '[decimal 50000]')
  const members = new Map([['b', { type: decimal, required: false }]])
  assert.equal(read('{"b":5,"c":5}', { kind: 'record', members }), '{b: decimal 50000, c: number 5}')
  assert.equal(read('5', { kind: 'long' }), 'number 5')
  assert.equal(read('{"b":5}', decimal), '{b: number 5}')
})

test('an array holds 64 arrays and objects, and any number of anything else', () => {
  const objects = (count: number) => JSON.stringify(Array.from({ length: count }, (_, b) => ({ b })))
  assert.match(read(objects(64)), /^\[\{b: number 0\}/)
  assert.equal(read(objects(65)), 'unfit: an array of more than 64 arrays and objects')
  assert.equal(read(JSON.stringify(Array.from({ length: 65 }, (_, i) => [i]))).slice(0, 6), 'unfit:')
  assert.equal(read(JSON.stringify(Array.from({ length: 1000 }, (_, i) => i))).slice(0, 10), '[number 0,')
})

test('nesting has an end', () => {
  const nested = (depth: number) => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`
  assert(!read(nested(64)).includes('unfit'))
  assert(read(nested(65)).includes('unfit: a value in more than 64 others'))
  const arrays = (depth: number) => `${'['.repeat(depth)}1${']'.repeat(depth)}`
  assert(!read(arrays(64)).includes('unfit'))
  assert(read(arrays(65)).includes('unfit'))
})

test('only what is looked at is made, and nothing that is not there', () => {
  const args = JSON.parse('{"a":1,"b":2,"__proto__":3}') as unknown
  const some = argumentRecord(args, null, new Set(['b', 'c', '__proto__', 'constructor', 'toString']))
  assert.equal(shown(some), '{b: number 2, __proto__: number 3}')
  assert.equal(shown(argumentRecord({ a: undefined, b: 1 }, null, null)), '{b: number 1}')
  assert.equal(shown(argumentRecord({}, null, new Set(['__proto__', 'constructor']))), '{}')
  for (const args of [undefined, null, [], ['a'], 'a', 1, true]) assert.equal(argumentRecord(args, null, null).size, 0)
})

function typed(schema: object): string {
  const { type, unjudged } = readArguments(JSON.parse(JSON.stringify(schema)) as never)
  return `${writeArgumentType(type)} ${unjudged.join(' ')}`.trimEnd()
}

const of = (property: unknown, more: object = {}) => typed({ type: 'object', properties: { a: property }, ...more })

test('the types of an input schema, and what of it no policy can judge', () => {
  const cases: readonly (readonly [unknown, string])[] = [
    [{ type: 'string' }, '{"a"?: String}'],
    [{ type: 'boolean' }, '{"a"?: Bool}'],
    [{ type: 'integer' }, '{"a"?: Long}'],
    [{ type: 'number' }, '{"a"?: __cedar::decimal}'],
    [{ type: ['string', 'null'] }, '{"a"?: String}'],
    [{ type: ['string', 'number'] }, '{} a'],
    [{ type: 'null' }, '{} a'],
    [{ type: [] }, '{} a'],
    [{ enum: ['x', 'y'] }, '{"a"?: String}'],
    [{ enum: ['x', 1] }, '{} a'],
    [{ enum: [] }, '{} a'],
    [{ anyOf: [{ type: 'string' }, { type: 'null' }] }, '{"a"?: String}'],
    [{ oneOf: [{ type: 'integer' }, { type: 'integer' }] }, '{"a"?: Long}'],
    [{ anyOf: [{ type: 'string' }, { type: 'integer' }] }, '{} a'],
    [{ anyOf: [{ type: 'object', properties: {} }] }, '{} a'],
    [{ anyOf: [{ type: 'array', items: { type: 'string' } }] }, '{} a'],
    [{ anyOf: [] }, '{} a'],
    [{ anyOf: [true] }, '{} a'],
    [{ type: 'array', items: { type: 'string' } }, '{"a"?: Set<String>}'],
    [{ type: 'array' }, '{} a'],
    [{ type: 'object' }, '{} a'],
    [{ type: 'object', properties: { b: { type: 'string' } }, required: ['b'] }, '{"a"?: {"b": String}}'],
    [{ type: 'object', properties: { b: {} } }, '{"a"?: {}} a.b'],
    [{ type: 'array', items: { type: 'object', properties: { b: {} } } }, '{"a"?: Set<{}>} a.*.b'],
    [{}, '{} a'],
    [true, '{} a'],
    [null, '{} a'],
  ]
  assert.deepEqual(
    cases.map(([property]) => [property, of(property)]),
    cases,
  )
})

test('references lead to definitions of the same schema alone, and to no circle', () => {
  const definitions = { $defs: { t: { type: 'string' }, self: { $ref: '#/$defs/self' }, text: 'x' } }
  assert.equal(of({ $ref: '#/$defs/t' }, definitions), '{"a"?: String}')
  assert.equal(of({ $ref: '#/definitions/t' }, { definitions: definitions.$defs }), '{"a"?: String}')
  const broken = ['#/$defs/self', '#/$defs/none', '#/$defs/text', '#/$defs/toString', '#/other/t', 'https://x/y', 1]
  for (const $ref of broken) assert.equal(of({ $ref }, definitions), '{} a', String($ref))
  const tree = { type: 'object', properties: { next: { $ref: '#/$defs/tree' } } }
  assert.match(of({ $ref: '#/$defs/tree' }, { $defs: { tree } }), /^\{"a"\?: \{"next"\?: .* a(?:\.next)+$/)
})

test('required members are, and names are quoted', () => {
  const properties = { 'a"b': { type: 'string' }, __proto__x: { type: 'string' } }
  assert.equal(typed({ properties, required: ['a"b'] }), '{"a\\"b": String, "__proto__x"?: String}')
  assert.equal(typed({ properties, required: 'a' }), '{"a\\"b"?: String, "__proto__x"?: String}')
  assert.equal(typed({}), '{}')
  assert.equal(typed({ properties: ['a'] }), '{}')
})

test('beyond a thousand members nothing is judged', () => {
  const properties = Object.fromEntries(Array.from({ length: 1001 }, (_, i) => [`m${i}`, { type: 'string' }]))
  const { type, unjudged } = readArguments({ type: 'object', properties })
  assert.equal(type.members.size, 1000)
  assert.deepEqual(unjudged, ['m1000'])
})

function inferred(...bodies: readonly string[]): string {
  const conditions = bodies.map((body) => `when { ${body} }`).join(' ')
  return writeArgumentType(inferArguments(parsed(`permit(principal, action, resource) ${conditions};`)))
}

test('types are taken from what policies do', () => {
  const cases = {
    'context.args.a': '{"a": Bool}',
    '!context.args.a': '{"a": Bool}',
    'context.args.a && true': '{"a": Bool}',
    'context.args.a == "x"': '{"a": String}',
    '"x" != context.args.a': '{"a": String}',
    'context.args.a == 1': '{"a": Long}',
    'context.args.a == true': '{"a": Bool}',
    'context.args.a == (1 + 2)': '{"a": Long}',
    'context.args.a == (1 < 2)': '{"a": Bool}',
    'context.args.a == (true && false)': '{"a": Bool}',
    'context.args.a == principal': '{"a": String}',
    'context.args.a == decimal("1.0")': '{"a": __cedar::decimal}',
    'context.args.a < 3': '{"a": Long}',
    'context.args.a * 2 - 1 == 3': '{"a": Long}',
    '-(context.args.a) == context.x': '{"a": Long}',
    'context.args.a like "x*"': '{"a": String}',
    'context.args.a.contains("x")': '{"a": Set<String>}',
    'context.args.a.contains(1)': '{"a": Set<Long>}',
    'context.args.a.containsAll([1])': '{"a": Set<Long>}',
    'context.args.a.containsAny([])': '{"a": Set<String>}',
    'context.args.a.isEmpty()': '{"a": Set<String>}',
    '[1, 2].contains(context.args.a)': '{"a": Long}',
    '["x"].containsAll(context.args.a)': '{"a": Set<String>}',
    'context.args.a.greaterThan(decimal("1.0"))': '{"a": __cedar::decimal}',
    'decimal("1.0").lessThan(context.args.a)': '{"a": __cedar::decimal}',
    'ip(context.args.a).isLoopback()': '{"a": String}',
    'if context.args.a then true else false': '{"a": Bool}',
    '(if true then context.args.a else 3) == 4': '{"a": Long}',
    'principal.hasTag(context.args.a)': '{"a": String}',
    'context.args has a': '{"a": String}',
    'context has args.a.b': '{"a": {"b": String}}',
    'context.args has a && context.args.a > 1': '{"a": Long}',
    'context.args.a.b.c == 1': '{"a": {"b": {"c": Long}}}',
    'context.args.a has b.c': '{"a": {"b": {"c": String}}}',
    'context has args': '{}',
    'context has other.a': '{}',
    'context.other.a == 1': '{}',
    'principal.args.a == 1': '{}',
    '[context.args.a, 1].contains(2)': '{"a": String}',
    '{x: context.args.a} == {x: 1}': '{"a": String}',
    'resource in context.args.a': '{"a": String}',
  }
  assert.deepEqual(Object.fromEntries(Object.keys(cases).map((body) => [body, inferred(body)])), cases)
})

test('the first use that says a type decides', () => {
  assert.equal(inferred('context.args has a', 'context.args.a > 1', 'context.args.a == "x"'), '{"a": Long}')
})
