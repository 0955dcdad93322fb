import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readArguments } from '../../../packages/server/src/cli/tool-arguments.ts'

const schema = {
  properties: {
    path: { type: 'string' },
    count: { type: 'integer' },
    deep: { type: 'boolean' },
    list: { type: 'array' },
    either: { type: ['string', 'null'] },
    mode: { enum: ['1', '2'] },
    any: {},
  },
}

test('a declared string is never read as JSON', () => {
  assert.deepEqual(readArguments(['path=123', 'mode=1'], schema), { path: '123', mode: '1' })
})

test('other declared types are read as JSON of that type', () => {
  assert.deepEqual(readArguments(['count=3', 'deep=true', 'list=[1,"a"]'], schema), {
    count: 3,
    deep: true,
    list: [1, 'a'],
  })
})

test('what is not of the declared type is refused', () => {
  for (const word of ['count=1.5', 'count=x', 'deep=1', 'list={}'])
    assert.throws(() => readArguments([word], schema), { code: 'argument_invalid' })
})

test('of several types the one that fits counts', () => {
  assert.deepEqual(readArguments(['either=null'], schema), { either: null })
  assert.deepEqual(readArguments(['either=5'], schema), { either: '5' })
})

test('undeclared values are JSON where they read as such', () => {
  assert.deepEqual(readArguments(['any=5', 'other=plain', 'third="q"', 'eq=a=b'], schema), {
    any: 5,
    other: 'plain',
    third: '"q"',
    eq: 'a=b',
  })
})

test('a word without name, or a name twice, is refused', () => {
  for (const words of [['=x'], ['x'], ['path=a', 'path=b']])
    assert.throws(() => readArguments(words, schema), { code: 'argument_invalid' })
})

test('names of Object.prototype are plain names', () => {
  const given = readArguments(['__proto__=1', 'constructor=2'], schema)
  assert.deepEqual(Object.entries(given), [
    ['__proto__', 1],
    ['constructor', 2],
  ])
})
