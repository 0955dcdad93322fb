/** Who follows the trust state here, as the other authorities on the store are told. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { epochMillis } from '@doorward/core'
import type { TrustScope } from '@doorward/core'
import { presenceMilliseconds, TrustAudience } from '../../../packages/server/src/authority/trust-audience.ts'

const one = 'spiffe://test.example/agent/one'
const two = 'spiffe://test.example/agent/two'
const start = 1_000_000

function audienceOf(...followers: readonly string[]) {
  const audience = new TrustAudience()
  for (const id of followers) audience.subscribe({ id, instance: '', scope: 'callers' }, () => undefined)
  const acknowledge = (id: string, sequence: number, scope: TrustScope = 'callers', instance = '') =>
    audience.acknowledge({ id, instance, scope, delegation: 1, sequence, at: epochMillis(start) })
  const told = (after: number) =>
    audience.takeFresh(epochMillis(start + after)).map(({ id, sequence, at }) => [id, sequence, at - start])
  return { audience, acknowledge, told }
}

test('RV-2: an acknowledgement is told at once, and once', () => {
  const { acknowledge, told } = audienceOf()
  told(0)
  acknowledge(one, 5)
  assert.deepEqual(told(500), [[one, 5, 0]])
  assert.deepEqual(told(1000), [])
})

test('RV-2: whoever follows is told every 10 s, also who has never acknowledged', () => {
  const { acknowledge, told } = audienceOf(one, two)
  acknowledge(one, 5)
  assert.deepEqual(told(0), [
    [one, 5, 0],
    [two, 0, 0],
  ])
  assert.deepEqual(told(presenceMilliseconds - 1), [])
  assert.deepEqual(told(presenceMilliseconds), [
    [one, 5, presenceMilliseconds],
    [two, 0, presenceMilliseconds],
  ])
})

test('who has left is not told as present, and a caller with many connections is told once', () => {
  const { audience, acknowledge, told } = audienceOf(one, one)
  const leave = audience.subscribe({ id: two, instance: '', scope: 'callers' }, () => undefined)
  acknowledge(two, 4)
  leave?.()
  assert.deepEqual(told(0), [
    [two, 4, 0],
    [one, 0, 0],
  ])
  assert.deepEqual(told(presenceMilliseconds), [[one, 0, presenceMilliseconds]])
})

test('RV-2: what one instance of a workload has heard is not said of another', () => {
  const { audience, acknowledge } = audienceOf()
  const leave = ['01', '02', '02'].map((instance) =>
    audience.subscribe({ id: one, instance, scope: 'callers' }, () => undefined),
  )
  acknowledge(one, 5, 'callers', '01')
  const told = audience.takeFresh(epochMillis(start)).map(({ instance, sequence }) => [instance, sequence])
  assert.deepEqual(told, [
    ['01', 5],
    ['02', 0],
  ])
  assert.deepEqual(
    audience.connected().map(({ instance }) => instance),
    ['01', '02'],
  )
  assert.deepEqual(audience.followers('callers'), [one])
  leave.forEach((end) => end?.())
  assert.deepEqual(audience.connected(), [])
})

test('what did not arrive is told again, and a clock that is set back keeps nobody unheard', () => {
  const { audience, told } = audienceOf(one)
  told(0)
  audience.untold()
  assert.deepEqual(told(1), [[one, 0, 1]])
  assert.deepEqual(told(-3_600_000), [[one, 0, -3_600_000]])
})
