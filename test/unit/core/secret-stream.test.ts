/** A text in pieces loses the secrets that it would lose as a whole, wherever it is cut, and little of it waits. */

import { equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { SecretStream, textWithoutSecrets } from '@doorward/core'

const key = `-----BEGIN EC PRIVATE KEY-----\n${'MHcCAQEEIB/x+y0\n'.repeat(20)}-----END EC PRIVATE KEY-----`
const secrets = [
  'ghp_abcdefghijklmnopqrstuvwxyz012345',
  'AKIAIOSFODNN7EXAMPLE',
  `eyJhbGciOiJFUzI1NiJ9.${'a1b2'.repeat(200)}.c2ln`,
  'Bearer   0123456789abcdef',
  'https://user:hunter2hunter2@host/path',
  'sk-proj-0123456789abcdefghij',
  key,
]

/** The text in pieces of these lengths, over and over. */
function streamed(text: string, lengths: readonly number[]): string {
  const stream = new SecretStream()
  let [out, at] = ['', 0]
  for (let i = 0; at < text.length; i++) {
    const length = lengths[i % lengths.length] ?? 1
    out += stream.push(text.slice(at, at + length))
    at += length
  }
  return out + stream.end()
}

test('however a text is cut, it is the text that it would be as a whole', () => {
  const word = fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom(...secrets) },
    { weight: 4, arbitrary: fc.stringMatching(/^[a-z"{}:,.@/=-]{0,30}$/) },
    fc.constantFrom('\n', '\r\n', ' ', '": "', '-----BEGIN CERTIFICATE-----', 'eyJ', 'bearer ', '://', 'é'),
  )
  const text = fc.array(fc.tuple(word, fc.constantFrom(' ', '\n', '", "', '<', '\t')), { maxLength: 40 })
  fc.assert(
    fc.property(text, fc.array(fc.integer({ min: 1, max: 900 }), { minLength: 1, maxLength: 8 }), (parts, lengths) => {
      const whole = parts.map((part) => part.join('')).join('')
      equal(streamed(whole, lengths), textWithoutSecrets(whole))
    }),
    { numRuns: 2000 },
  )
})

test('a secret cut at every place is found at every place', () => {
  for (const secret of secrets) {
    const text = `${'a '.repeat(300)}${secret} and more ${'b '.repeat(300)}`
    for (let cut = 600; cut <= 600 + secret.length; cut++) {
      const stream = new SecretStream()
      const out = stream.push(text.slice(0, cut)) + stream.push(text.slice(cut)) + stream.end()
      equal(out, textWithoutSecrets(text), `${secret.slice(0, 12)} at ${cut}`)
      equal(stream.count, 1)
    }
  }
})

test('whole lines pass at once, and of others all but the last 512 characters', () => {
  const stream = new SecretStream()
  equal(stream.push('data: {"n":1}\n\n'), 'data: {"n":1}\n\n')
  equal(stream.push('x y '.repeat(1000)).length, 4000 - 512)
  equal(stream.push('\n').length, 513)
  equal(stream.end(), '')
})

test('what has no end is left out to its end, and never kept', () => {
  const long = `eyJhbGciOiJFUzI1NiJ9${'A'.repeat(1000)}`
  for (const [head, tail] of [
    [long, ''],
    ['-----BEGIN PRIVATE KEY-----\n', '-----END PRIVATE KEY-----'],
    ['sk-aaaaaaaaaaaaaaaaaaaaaaaa', ''],
  ] as const) {
    const stream = new SecretStream()
    let out = stream.push(`before ${head}`)
    const held = process.memoryUsage().heapUsed
    for (let i = 0; i < 5000; i++) out += stream.push('QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo'.repeat(10))
    ok(process.memoryUsage().heapUsed - held < 64 * 1024 * 1024)
    out += stream.push(`${tail} after`) + stream.end()
    equal(out, 'before [redacted] after')
    equal(stream.count, 1)
  }
})
