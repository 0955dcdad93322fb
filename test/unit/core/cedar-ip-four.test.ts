import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { EvaluationError } from '../../../packages/core/src/policy/cedar/evaluation-error.ts'
import { IpAddress } from '../../../packages/core/src/policy/cedar/ip-address.ts'

const FOUR = /^(?:(?:0|[1-9]\d{0,2})\.){3}(?:0|[1-9]\d{0,2})$/

function isAddress(text: string): boolean {
  try {
    return IpAddress.parse(text).isIpv4()
  } catch (error) {
    if (error instanceof EvaluationError) return false
    throw error
  }
}

test('an IPv4 address is four numbers up to 255 without leading zeros, and nothing else', () => {
  const number = fc.oneof(fc.nat(300).map(String), fc.constantFrom('', '00', '01', '-1', '1e1', ' 1', '\u0661'))
  const text = fc.array(number, { minLength: 2, maxLength: 6 }).map((parts) => parts.join('.'))
  fc.assert(
    fc.property(text, (written) => {
      const wanted = FOUR.test(written) && written.split('.').every((part) => Number(part) <= 255)
      assert.equal(isAddress(written), wanted)
      if (!wanted) return
      assert.ok(IpAddress.parse(written).equals(IpAddress.parse(`${written}/32`)))
    }),
    { numRuns: 2000 },
  )
})

test('255.255.255.255 is within 128.0.0.0/1, 127.255.255.255 is not', () => {
  const upper = IpAddress.parse('128.0.0.0/1')
  assert.equal(IpAddress.parse('255.255.255.255').isInRange(upper), true)
  assert.equal(IpAddress.parse('127.255.255.255').isInRange(upper), false)
})
