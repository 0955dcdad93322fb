import { equal } from 'node:assert/strict'
import { test } from 'node:test'
import { harmless, painter, printable } from '../../../packages/server/src/cli/output.ts'

const hostile = 'a\u001b[2J\u009b31m\u0007\r\u2028\u202eb\u0000'

test('control characters and those that reorder text are shown', () => {
  equal(printable(hostile), 'a\\u001b[2J\\u009b31m\\u0007\\u000d\\u2028\\u202eb\\u0000')
  equal(printable('plain – text ✓'), 'plain – text ✓')
})

test('JSON text means the same afterwards', () => {
  equal(JSON.parse(printable(JSON.stringify(hostile))), hostile)
})

test('of whole lines, line ends and our own colours stay, and nothing else of the kind', () => {
  const red = painter(true)('red', 'no')
  equal(harmless(`${red}\n`), `${red}\n`)
  equal(harmless(`x\u001b[5my\u001b]0;title\u0007`), 'x\\u001b[5my\\u001b]0;title\\u0007')
})
