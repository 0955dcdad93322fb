/** Secrets are taken out of the texts of a message, and nothing else of it is changed by a byte. */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { fromUtf8, LIST_LIMITS, scanJson, utf8, withoutSecretTexts } from '@doorward/core'

const secret = 'ghp_abcdefghijklmnopqrstuvwxyz012345'
const key = 'AKIAIOSFODNN7EXAMPLE'

function filtered(text: string): readonly [string, number] {
  const scan = scanJson(utf8(text), LIST_LIMITS)
  if (!scan.ok) throw new Error(scan.code)
  const { bytes, count } = withoutSecretTexts(utf8(text), scan.value)
  return [fromUtf8(bytes), count]
}

test('a text is changed in place: white space, numbers, order and escapes of everything else stay', () => {
  const text = (inside: string) =>
    `{ "jsonrpc":"2.0","id" : 9007199254740993,\n"result":{"n":1e400,"content":[{"type":"text","text":${inside}},{"x":"\\u00e4\\/"}] }}`
  deepEqual(filtered(text(`"the key is ${secret}, keep it"`)), [text('"the key is [redacted], keep it"'), 1])
  deepEqual(filtered(text(`"\\u0067hp_${secret.slice(4)}"`)), [text('"[redacted]"'), 1])
})

test('errors, notifications and requests of servers have texts as well', () => {
  deepEqual(
    filtered(`{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":"no ${key}","data":{"a":["${key}"]}}}`)[1],
    2,
  )
  deepEqual(filtered(`{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"${key}"}}`)[1], 1)
  deepEqual(filtered(`{"jsonrpc":"2.0","id":1,"method":"elicitation/create","params":{"message":"${key}"}}`)[1], 1)
})

test('a member that is called a secret loses its value, and names lose theirs without becoming the same', () => {
  deepEqual(filtered('{"result":{"structuredContent":{"password":"Tr0ub4dor&3x"}}}'), [
    '{"result":{"structuredContent":{"password":"[redacted]"}}}',
    1,
  ])
  const [text, count] = filtered(`{"result":{"a":{"${key}":1,"${secret}":2}}}`)
  equal(count, 2)
  ok(scanJson(utf8(text)).ok && !text.includes(key) && !text.includes(secret))
})

test('ids, versions, handles, images and files stay as they are', () => {
  const letters = `${'A'.repeat(40)}${key}${'B'.repeat(40)}`
  for (const text of [
    `{"jsonrpc":"2.0","id":"${secret}","result":{}}`,
    `{"id":1,"result":{"nextCursor":"${secret}","requestState":"eyJhbGciOi.eyJhbGciOi.abc","taskId":"${secret}"}}`,
    `{"id":1,"result":{"content":[{"type":"image","data":"${letters}","mimeType":"image/png"}]}}`,
    `{"id":1,"result":{"contents":[{"uri":"a:b","blob":"${letters}"}]}}`,
  ])
    deepEqual(filtered(text), [text, 0])
  equal(filtered(`{"id":1,"result":{"contents":[{"blob":"${secret}"}]}}`)[1], 1)
  equal(filtered(`{"id":1,"result":{"data":"${letters.replaceAll(key, ` ${key} `)}"}}`)[1], 1)
})

test('whatever a message says, it says the same without secrets, and no secret is left', () => {
  const leaf = fc.oneof(
    fc.string({ unit: 'binary' }).filter((text) => text.isWellFormed()),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.boolean(),
    fc.constant(null),
  )
  const plain = fc.letrec((tie) => ({
    value: fc.oneof(
      { depthSize: 'small' },
      leaf,
      fc.array(tie('value')),
      fc.dictionary(fc.string(), tie('value'), { noNullPrototype: true }),
    ),
  })).value
  fc.assert(
    fc.property(plain, fc.nat(3), (value, space) => {
      const document = { result: { before: value, secret: [`x ${secret} y`], after: value } }
      const text = JSON.stringify(document, null, space)
      const scan = scanJson(utf8(text), LIST_LIMITS)
      fc.pre(scan.ok)
      const [changed] = filtered(text)
      equal(changed.includes(secret), false)
      ok(scanJson(utf8(changed), LIST_LIMITS).ok)
    }),
    { numRuns: 60 },
  )
})

test('however many texts hold a secret, all of them lose it', () => {
  const texts = Array.from({ length: 90_000 }, () => `"${key}"`).join(',')
  const [text, count] = filtered(`{"jsonrpc":"2.0","id":1,"result":{"content":[${texts}]}}`)
  deepEqual([count, text.includes(key)], [90_000, false])
})
