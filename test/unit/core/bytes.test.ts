import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fromBase64, fromBase64url, toBase64, toBase64url } from '@doorward/core'
import fc from 'fast-check'

/** Short and long values go different ways; the sizes lie on both sides of the border. */
const values = fc.uint8Array({ maxLength: 1200, size: 'max' })

test('bytes have one text form each, short or long', () => {
  fc.assert(
    fc.property(values, (bytes) => {
      const plain = new Uint8Array(bytes)
      assert.equal(toBase64url(plain), Buffer.from(plain).toString('base64url'))
      assert.equal(toBase64(plain), Buffer.from(plain).toString('base64'))
      assert.deepEqual(fromBase64url(toBase64url(plain)), plain)
      assert.deepEqual(fromBase64(toBase64(plain)), plain)
    }),
  )
})

test('text that is not the form of its bytes is refused, wherever it departs', () => {
  const strange = fc.constantFrom('+', '/', '=', ' ', '\n', '\0', 'é', '😀', 'Ł', '')
  const place = fc.double({ min: 0, max: 1, noNaN: true })
  fc.assert(
    fc.property(values, strange, place, (bytes, character, share) => {
      const text = toBase64url(new Uint8Array(bytes))
      const at = Math.floor(share * text.length)
      const changed = text.slice(0, at) + character + text.slice(at + 1)
      const read = fromBase64url(changed)
      // A character less may be the form of other bytes.
      assert.ok(read === null || toBase64url(read) === changed)
      if (character !== '') assert.equal(read, null)
    }),
  )
})
