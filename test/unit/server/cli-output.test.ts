import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { refusalError } from '@doorward/sdk'
import { CallDenied, reportFailure } from '../../../packages/server/src/cli/failure.ts'
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

test('a refusal by the token endpoint says what was expected and what to do next, to people and to programs', () => {
  const from = 'https://authority.test.example/v1/token'
  for (const code of ['scope_unknown', 'scope_widened', 'audience_unknown', 'exchange_audience']) {
    const refusal = { status: 400, code, decision: 'test.example/authority#7', text: 'no', retryAfterSeconds: null }
    const error = new CallDenied(refusalError({ ...refusal, body: null }, from))
    const said: string[] = []
    const output = { out: (text: string) => void said.push(text), err: (text: string) => void said.push(text) }
    equal(reportFailure(error, { ...output, json: false, color: false }), 1)
    deepEqual(
      said.map((line) => line.trim().split(':')[0]),
      ['error', 'where', 'expected', 'next'],
      code,
    )
    equal(reportFailure(error, { ...output, json: true, color: false }), 1)
    const told = (JSON.parse(said.at(-1) ?? '') as { readonly error: Readonly<Record<string, string>> }).error
    ok(told['code'] === code && told['expected'] !== undefined && told['next'] !== undefined, said.at(-1))
  }
})
