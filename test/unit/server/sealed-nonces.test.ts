import { equal, notEqual, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { epochMillis } from '@doorward/core'
import { SealedNonces } from '../../../packages/server/src/state/sealed-nonces.ts'

function subject() {
  let now = 1_800_000_000_000
  const nonces = new SealedNonces(() => epochMillis(now))
  return { nonces, now: () => now, pass: (milliseconds: number) => void (now += milliseconds) }
}

test('RP-7: a nonce is good for three minutes from when it was made, and not a moment longer', () => {
  const { nonces, now, pass } = subject()
  const nonce = nonces.current()
  equal(nonces.goodUntil(nonce), now() + 180_000)
  pass(179_999)
  ok(nonces.goodUntil(nonce) !== null)
  pass(1)
  equal(nonces.goodUntil(nonce), null)
})

test('the same nonce is given for a while, and then another', () => {
  const { nonces, pass } = subject()
  const first = nonces.current()
  pass(29_999)
  equal(nonces.current(), first)
  pass(1)
  notEqual(nonces.current(), first)
  ok(nonces.goodUntil(first) !== null)
})

test('a nonce of another process, one that was changed, and anything else is not ours', () => {
  const { nonces } = subject()
  const nonce = nonces.current()
  equal(nonces.goodUntil(subject().nonces.current()), null)
  for (let at = 0; at < nonce.length; at++) {
    const other = nonce[at] === 'A' ? 'B' : 'A'
    equal(nonces.goodUntil(`${nonce.slice(0, at)}${other}${nonce.slice(at + 1)}`), null, `${at}`)
  }
  for (const text of ['', 'x', nonce.slice(1), `${nonce}A`, `${nonce}=`, '€']) equal(nonces.goodUntil(text), null, text)
})

test('a nonce from a time that has not come, after the clock was set back, is refused', () => {
  const { nonces, pass } = subject()
  const nonce = nonces.current()
  pass(-5000)
  equal(nonces.goodUntil(nonce), null)
  ok(nonces.goodUntil(nonces.current()) !== null)
})
