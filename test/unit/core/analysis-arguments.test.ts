/** Arguments that a policy asks for and no tool has. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { guesses, readArguments, readPolicy, unknownArguments } from '@doorward/core'
import type { Arguments, JsonObject, Policy } from '@doorward/core'
import { loadCedar } from '../../../packages/server/src/policy/cedar-module.ts'

const cedar = loadCedar()

function policyOf(condition: string): Policy {
  const answer = cedar.policyToJson(`forbid (principal, action, resource) when { ${condition} };`)
  assert(answer.type === 'success', condition)
  return readPolicy('p', answer.json)
}

function tool(properties: JsonObject): Arguments {
  return readArguments({ type: 'object', properties })
}

const text: JsonObject = { type: 'string' }
const file = tool({ path: text, mode: text, who: { type: 'object', properties: { name: text, age: text } } })

const told = (condition: string, ...tools: readonly Arguments[]) =>
  unknownArguments(policyOf(condition), tools).map(({ path, near }) => `${path.join('.')} ${near}`)

test('a name that no tool has is told with the near one, however it is asked for', () => {
  const cases: readonly (readonly [string, readonly string[]])[] = [
    ['context.args has pth && context.args.pth == "a"', ['pth path']],
    ['!(context.args has "pth")', ['pth path']],
    ['context has args.pth', ['pth path']],
    ['context.args has zzzzzzzz', ['zzzzzzzz null']],
    ['context.args.who has nmae', ['who.nmae name']],
    ['context.args has who.nmae', ['who.nmae name']],
    ['context.args has whu.name', ['whu who']],
    ['if context.args has mod then true else context.args has pth', ['pth path', 'mod mode']],
    ['context.args has pth || context.args has pth', ['pth path']],
  ]
  for (const [condition, expected] of cases) assert.deepEqual(told(condition, file), expected, condition)
})

test('nothing is told of what is there, of other attributes, or where no tool is known', () => {
  for (const condition of [
    'context.args has path && context.args.path == "a"',
    'context.args has who && context.args.who has name',
    'context.args has path.inner',
    'context has args',
    'context has nothing',
    'principal has path',
    'context.args.pth == "a"',
  ])
    assert.deepEqual(told(condition, file), [], condition)
  assert.deepEqual(told('context.args has pth'), [])
})

test('one tool that has the name is enough, and so is one of which the argument cannot be judged', () => {
  const other = tool({ pth: text })
  assert.deepEqual(told('context.args has pth', file, other), [])
  const open = tool({ pth: { type: ['string', 'number'] }, at: { type: 'array', items: {} } })
  assert.deepEqual(open.unjudged.length, 2)
  assert.deepEqual(told('context.args has pth', file, open), [])
  assert.deepEqual(told('context.args has at', open), [])
  // Those count among the names that there are.
  assert.deepEqual(told('context.args has pt', open), ['pt pth'])
})

test('the names of all tools are guessed from, those of the place where the path ends', () => {
  const [found] = unknownArguments(policyOf('context.args.who has zzz'), [tool({ path: text }), file])
  assert.deepEqual(found?.there, ['name', 'age'])
  const [first] = unknownArguments(policyOf('context.args has pth'), [tool({ dir: text }), file])
  assert.deepEqual(first?.there, ['dir', 'path', 'mode', 'who'])
})

test('so many names are guessed, and the others told without', () => {
  const guess = guesses(2)
  const near = (condition: string) => unknownArguments(policyOf(condition), [file], guess).map((one) => one.near)
  assert.deepEqual(near('context.args has pth'), ['path'])
  assert.deepEqual(near('context.args has path'), [])
  assert.deepEqual(near('context.args has mod || context.args has pth'), ['path', null])
})
