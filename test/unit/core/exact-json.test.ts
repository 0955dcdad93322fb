import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { canonicalJson, exactJson, utf8 } from '@doorward/core'
import type { JsonValue } from '@doorward/core'

const exact = (text: string) => exactJson(utf8(text))

test('order, white space and the spelling of strings say nothing', () => {
  const one = String.raw`{"b":[1,{"y":null,"x":true}],"a":"\u00e9\/\n"}`
  const other = String.raw` { "a" : "é/\u000a" , "b" : [ 1 , { "x" : true , "y" : null } ] } `
  assert.equal(exact(one), exact(other))
  assert.equal(exact(one), String.raw`{"a":"é/\n","b":[1,{"x":true,"y":null}]}`)
})

test('numbers stay as they are written: none is rounded, and none becomes another', () => {
  const numbers = ['1', '1.0', '1e0', '10e-1', '-0', '0', '9007199254740992', '9007199254740993', '1e400', '1e401']
  assert.equal(new Set(numbers.map((number) => exact(`{"n":${number}}`))).size, numbers.length)
})

test('members are left out by the names that lead to them, and objects of which nothing is left', () => {
  const leftOut = (path: readonly string[]) => path.join('.') === 'a.b' || path.join('.') === 'c'
  const left = (text: string) => exactJson(utf8(text), leftOut)
  assert.equal(left('{"a":{"b":{"x":[1]}},"c":2,"d":3}'), '{"d":3}')
  assert.equal(left('{"a":{"b":1,"e":2},"b":1}'), '{"a":{"e":2},"b":1}')
  assert.equal(left('{"a":{},"c":1}'), '{"a":{}}')
  assert.equal(left('{"c":1}'), '{}')
  assert.equal(left('[{"c":1},{"a":{"b":1}}]'), '[{"c":1},{"a":{"b":1}}]')
})

test('every value without fractions has the text that its canonical form has, however it is written', () => {
  const value = fc.jsonValue({ maxDepth: 5 }).map((one) => JSON.parse(JSON.stringify(one), whole) as JsonValue)
  fc.assert(
    fc.property(value, fc.constantFrom(undefined, 1, '\t'), (one, space) => {
      assert.equal(exact(JSON.stringify(one, null, space)), canonicalJson(one))
    }),
  )
})

function whole(_name: string, value: unknown): unknown {
  return typeof value === 'number' ? Math.trunc(value % 1000) || 0 : value
}
