/** When a server is not asked any more, and when it is again. */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Circuit, defaultCircuitThreshold } from '../../../packages/server/src/transports/circuit.ts'
import type { CallResult } from '../../../packages/server/src/transports/circuit.ts'

const START = 1_000_000

function circuit(): { readonly one: Circuit; readonly call: (result: CallResult, now: number) => boolean } {
  const one = new Circuit(defaultCircuitThreshold, () => 1)
  const call = (result: CallResult, now: number) => {
    const ticket = one.enter(now)
    if (ticket === null) return false
    one.ended(ticket, result, now)
    return true
  }
  return { one, call }
}

function fail(call: (result: CallResult, now: number) => boolean, times: number, now: number): void {
  for (let i = 0; i < times; i++) ok(call('failed', now))
}

test('five failures in a row open it, and a good answer in between begins the row anew', () => {
  const { one, call } = circuit()
  fail(call, 4, START)
  call('good', START)
  fail(call, 4, START + 20_000)
  equal(one.state(START + 20_000), 'closed')
  fail(call, 1, START + 20_000)
  equal(one.state(START + 20_000), 'open')
  equal(call('good', START + 20_001), false)
  equal(one.retryAfterSeconds(START + 20_000), 5)
})

test('half of at least ten calls within ten seconds open it, and older calls do not count', () => {
  const { one, call } = circuit()
  for (let i = 0; i < 4; i++) for (const result of ['failed', 'good'] as const) call(result, START + i)
  for (let i = 0; i < 4; i++) for (const result of ['failed', 'good'] as const) call(result, START + 10_001 + i)
  equal(one.state(START + 10_010), 'closed')
  call('failed', START + 10_011)
  equal(one.state(START + 10_011), 'closed')
  call('failed', START + 10_012)
  equal(one.state(START + 10_012), 'open')
})

test('after the pause one call shows whether it is back; the others wait for it', () => {
  const { one, call } = circuit()
  fail(call, 5, START)
  equal(one.state(START + 4999), 'open')
  equal(one.state(START + 5000), 'half-open')
  const trial = one.enter(START + 5000)
  ok(trial !== null)
  equal(one.enter(START + 5000), null)
  ok(one.retryAfterSeconds(START + 5000) > 0)
  ok(one.ended(trial, 'good', START + 5001))
  equal(one.state(START + 5001), 'closed')
  ok(call('good', START + 5002) && call('good', START + 5002))
})

test('a trial that fails doubles the pause up to a minute; one that says nothing makes room for another', () => {
  const { one, call } = circuit()
  fail(call, 5, START)
  let now = START
  const pauses = []
  for (let i = 0; i < 6; i++) {
    const opened = now
    while (one.state(now) === 'open') now += 100
    pauses.push(now - opened)
    call('nothing', now)
    fail(call, 1, now)
    equal(one.state(now), 'open')
  }
  deepEqual(pauses, [5000, 10_000, 20_000, 40_000, 60_000, 60_000])
})

test('a trial of which nothing is heard is not waited for longer than a pause', () => {
  const { one, call } = circuit()
  fail(call, 5, START)
  ok(one.enter(START + 5000) !== null)
  equal(one.enter(START + 9999), null)
  ok(one.enter(START + 10_000) !== null)
})

test('what calls of an earlier period say counts no more', () => {
  const { one, call } = circuit()
  const old = one.enter(START)
  ok(old !== null)
  fail(call, 5, START)
  equal(one.ended(old, 'good', START + 1), false)
  equal(one.state(START + 1), 'open')
  ok(call('good', START + 5000))
  for (let i = 0; i < 20; i++) one.ended(old, 'failed', START + 5001)
  equal(one.state(START + 5001), 'closed')
})

test('whatever comes, an open circuit lets at most one call through per pause', () => {
  const events = fc.array(fc.tuple(fc.constantFrom<CallResult>('good', 'failed', 'nothing'), fc.nat(1500)))
  fc.assert(
    fc.property(events, (steps) => {
      const { one, call } = circuit()
      fail(call, 5, START)
      let now = START
      let openTrial = Number.NEGATIVE_INFINITY
      for (const [result, gap] of steps) {
        now += gap
        const before = one.state(now)
        const ticket = one.enter(now)
        if (before === 'open') equal(ticket, null)
        if (before === 'closed' || ticket === null) continue
        ok(now - openTrial >= defaultCircuitThreshold.pauseMilliseconds, `${now - openTrial} ms after another`)
        if (result === 'nothing') openTrial = now
        else one.ended(ticket, 'failed', now)
      }
    }),
  )
})
