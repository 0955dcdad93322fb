/** The part of JSON Schema that results are checked by: what fulfils, what does not, and what is not decided. */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { checkSchema } from '@doorward/core'
import type { JsonValue } from '@doorward/core'

type Case = readonly [schema: JsonValue, good: readonly JsonValue[], bad: readonly JsonValue[]]

const cases: readonly Case[] = [
  [true, [1, null, {}], []],
  [false, [], [1, null, {}]],
  [{}, [1, 'a', []], []],
  [{ type: 'string' }, ['', 'a'], [1, null, {}, [], true]],
  [{ type: 'integer' }, [1, 1.0, -3], [1.5, '1']],
  [{ type: 'number' }, [1, 1.5], ['1', true]],
  [{ type: ['string', 'null'] }, ['a', null], [1]],
  [{ type: 'object' }, [{}], [[], null]],
  [{ enum: [1, 'a', { b: [1] }] }, [1, 'a', { b: [1] }], [2, { b: [2] }, { b: [1], c: 1 }]],
  [{ const: { a: 1, b: 2 } }, [{ b: 2, a: 1 }], [{ a: 1 }, [1]]],
  [{ required: ['a', 'toString'] }, [{ a: 1, toString: 1 }, 1], [{ a: 1 }, {}]],
  [{ properties: { a: { type: 'string' } } }, [{ a: 'x' }, { b: 1 }, 3], [{ a: 1 }]],
  [{ properties: { a: {} }, additionalProperties: false }, [{ a: 1 }, {}], [{ b: 1 }]],
  [{ additionalProperties: { type: 'string' } }, [{ b: 'x' }], [{ b: 1 }]],
  [{ patternProperties: { '^a': {} }, additionalProperties: false }, [{ z: 1 }], []],
  [{ propertyNames: { maxLength: 2 } }, [{ ab: 1 }], [{ abc: 1 }]],
  [{ items: { type: 'number' } }, [[], [1, 2], 'a'], [[1, 'a']]],
  [{ prefixItems: [{ type: 'string' }], items: { type: 'number' } }, [['a', 1], []], [['a', 'b'], [1]]],
  [{ items: [{ type: 'string' }, { type: 'number' }] }, [['a', 1, {}]], [['a', 'b']]],
  [{ contains: { const: 1 }, maxContains: 2 }, [[1], [1, 1, 2]], [[2], [], [1, 1, 1]]],
  [
    { uniqueItems: true },
    [[1, '1', { a: 1 }]],
    [
      [
        { a: 1, b: 2 },
        { b: 2, a: 1 },
      ],
    ],
  ],
  [{ minItems: 1, maxItems: 2 }, [[1], [1, 2]], [[], [1, 2, 3]]],
  [{ minProperties: 1, maxProperties: 1 }, [{ a: 1 }], [{}, { a: 1, b: 2 }]],
  [{ minLength: 2, maxLength: 3 }, ['ab', '\u{1f600}\u{1f600}'], ['a', '\u{1f600}', 'abcd']],
  [{ minimum: 1, maximum: 2 }, [1, 2, 'x'], [0, 3]],
  [{ exclusiveMinimum: 1, exclusiveMaximum: 2 }, [1.5], [1, 2]],
  [{ multipleOf: 0.01 }, [0.07, 1], [0.075]],
  [{ allOf: [{ minimum: 1 }, { maximum: 2 }] }, [1], [3, 0]],
  [{ anyOf: [{ type: 'string' }, { type: 'number' }] }, ['a', 1], [null]],
  [{ oneOf: [{ minimum: 1 }, { maximum: 2 }] }, [3, 0], [1.5]],
  [{ not: { type: 'null' } }, [1], [null]],
  [{ if: { const: 1 }, then: false, else: { type: 'string' } }, ['a'], [1, 2]],
  [{ dependentRequired: { a: ['b'] } }, [{ a: 1, b: 1 }, { c: 1 }], [{ a: 1 }]],
  [{ $defs: { 'a/b': { type: 'string' } }, $ref: '#/$defs/a~1b' }, ['x'], [1]],
  [{ $ref: '#/definitions/x', definitions: { x: { type: 'number' } }, minimum: 2 }, [2], [1, 'a']],
  [
    { type: 'object', properties: { next: { $ref: '#' } }, additionalProperties: false },
    [{ next: { next: {} } }],
    [{ next: { other: 1 } }],
  ],
  [{ format: 'email', pattern: '^(a+)+$', title: 'x' }, ['aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!'], []],
]

for (const [schema, good, bad] of cases)
  test(`schema ${JSON.stringify(schema)}`, () => {
    for (const value of good) deepEqual(checkSchema(schema, value), { ok: true }, JSON.stringify(value))
    for (const value of bad) ok('keyword' in checkSchema(schema, value), JSON.stringify(value))
  })

const undecidable: readonly (readonly [schema: JsonValue, value: JsonValue])[] = [
  [{ $ref: 'https://evil.example/schema.json' }, 1],
  [{ $ref: '#/nowhere' }, 1],
  [{ $ref: '#' }, 1],
  [{ $dynamicRef: '#a' }, 1],
  [{ unevaluatedProperties: false }, {}],
  [{ not: { $ref: 'https://evil.example/' } }, 1],
  [{ anyOf: [{ $ref: '#/x' }, true] }, 1],
  [{ minimum: '1' }, 1],
  [{ properties: [] }, {}],
  [7, 1],
]
for (const [schema, value] of undecidable)
  test(`undecided: ${JSON.stringify(schema)}`, () => ok('undecided' in checkSchema(schema, value)))

test('the work is bounded, whatever schema and value are', () => {
  const doubling = {
    $defs: Object.fromEntries(
      Array.from({ length: 40 }, (_, i) => [
        `d${i}`,
        { anyOf: [{ $ref: `#/$defs/d${i + 1}` }, { $ref: `#/$defs/d${i + 1}` }] },
      ]),
    ),
  }
  const big = { enum: Array.from({ length: 1000 }, (_, i) => Array.from({ length: 500 }, () => i)) }
  const list = Array.from({ length: 10_000 }, () => Array.from({ length: 500 }, () => 999))
  for (const [schema, value] of [
    [{ ...doubling, $ref: '#/$defs/d0' }, 1],
    [{ items: big }, list],
  ] as const) {
    const began = performance.now()
    ok('undecided' in checkSchema(schema, value))
    ok(performance.now() - began < 2000)
  }
})

const many = <T>(count: number, of: (i: number) => T): readonly T[] => Array.from({ length: count }, (_, i) => of(i))
const membersOf = (count: number, value: JsonValue): JsonValue =>
  Object.fromEntries(many(count, (i) => [`a${i}`, value]))

const costly: readonly (readonly [what: string, schema: JsonValue, value: JsonValue])[] = [
  ['members that are not there', { items: { properties: membersOf(5000, {}) } }, many(100_000, () => ({}))],
  ['types', { items: { type: [...many(20_000, () => 'x'), 'object'] } }, many(100_000, () => ({}))],
  [
    'names that are required',
    { items: { anyOf: [{ required: many(5000, () => 'a') }] } },
    many(90_000, () => ({ a: 1 })),
  ],
  ['unknown keywords', { items: membersOf(5000, {}) }, many(100_000, () => ({}))],
  ['what depends', { items: { dependentRequired: membersOf(5000, ['b']) } }, many(100_000, () => ({}))],
  ['long references', { $defs: { x: true }, items: { $ref: `#/$defs/x${'/'.repeat(50_000)}` } }, many(50_000, () => 1)],
  ['items that are compared', { allOf: many(5000, () => ({ uniqueItems: true })) }, many(2, (i) => `${i}`.repeat(1e6))],
  ['items that are copied', { not: { anyOf: many(5000, () => ({ items: false })) } }, many(500_000, () => 1)],
  ['letters that are counted', { allOf: many(5000, () => ({ minLength: 1 })) }, 'x'.repeat(2e6)],
  ['letters that are compared', { not: { enum: many(50_000, () => 'x'.repeat(3e5)) } }, `${'x'.repeat(299_999)}y`],
  ['members that are counted', { allOf: many(5000, () => ({ minProperties: 1 })) }, membersOf(50_000, 1)],
  ['members that are compared', { not: { anyOf: many(5000, () => ({ enum: [{}] })) } }, membersOf(50_000, 1)],
  ['members that are named', { allOf: many(5000, () => ({ not: { propertyNames: false } })) }, membersOf(50_000, 1)],
  [
    'members that are known',
    { properties: membersOf(20_000, true), allOf: many(5000, () => ({ not: { additionalProperties: false } })) },
    membersOf(20_000, 1),
  ],
]
for (const [what, schema, value] of costly)
  test(`the work is bounded that ${what} make`, () => {
    const began = performance.now()
    ok('undecided' in checkSchema(schema, value))
    ok(performance.now() - began < 5000)
  })

test('what a large answer takes is far below the bound', () => {
  const row = {
    type: 'object',
    required: ['id', 'name'],
    properties: { id: { type: 'integer' }, name: { type: 'string', maxLength: 64 } },
  }
  const rows = many(20_000, (id) => ({ id, name: `row ${id}` }))
  deepEqual(checkSchema({ type: 'array', items: row }, rows), { ok: true })
  deepEqual(checkSchema({ type: 'string', maxLength: 4e6 }, 'x'.repeat(4e6)), { ok: true })
  deepEqual(checkSchema({ minLength: 2, maxLength: 2 }, '\u{1f600}x'), { ok: true })
})

test('a reason tells where and why, and nothing of the value or of names that the schema does not have', () => {
  const verdict = checkSchema(
    { properties: { a: { additionalProperties: { type: 'number' } } } },
    { a: { secret: 'canary' } },
  )
  deepEqual(verdict, { ok: false, where: '.a.*', keyword: 'type' })
  equal(JSON.stringify(verdict).includes('canary'), false)
})
