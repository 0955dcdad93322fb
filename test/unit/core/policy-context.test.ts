/** The context of a call: what no policy looks at is not in it. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CallClock } from '../../../packages/core/src/policy/call-clock.ts'
import { CallContexts } from '../../../packages/core/src/policy/call-context.ts'
import { Unfit } from '../../../packages/core/src/policy/cedar/unfit.ts'
import type { Value } from '../../../packages/core/src/policy/cedar/value.ts'
import { agent, caller, sessionAction, toolCall } from '../../contract/decision-requests.ts'
import { parsed } from '../../fuzz/cedar-official.ts'

const request = toolCall(caller('a'), 'files/read', 'write', { n: 1, m: 2 })
const ALL = ['effect', 'strength', 'time', 'address', 'delegation', 'args']

function contextUnder(conditions: readonly string[], asked = request) {
  const policies = conditions.map((one, i) => parsed(`permit(principal, action, resource) when { ${one} };`, `p${i}`))
  return new CallContexts({ tools: new Map(), timeZone: 'UTC' }, policies).of(asked)
}

test('each part of a context is there for the policies that look at it, and for no others', () => {
  assert.deepEqual(contextUnder([]), new Map())
  for (const name of ALL) {
    assert.deepEqual([...contextUnder([`context.${name} == 1`]).keys()], [name])
    assert.deepEqual([...contextUnder(['true', `context has ${name}`]).keys()], [name])
  }
  assert.deepEqual([...contextUnder(['context.args.n == 1', 'context.effect == "read"']).keys()], ['effect', 'args'])
  assert.deepEqual([...contextUnder(['context == {}']).keys()], ALL)
})

test('of the arguments there are those that policies name, or all where one looks at the whole', () => {
  assert.deepEqual(contextUnder(['context.args.n == 1']).get('args'), new Map([['n', 1]]))
  const all = new Map([
    ['n', 1],
    ['m', 2],
  ])
  for (const whole of ['context.args == {}', 'context == {}'])
    assert.deepEqual(contextUnder([whole, 'context.args.n == 1']).get('args'), all)
})

test('what is called without arguments has none in its context', () => {
  const listing = sessionAction(caller('a'), 'tools/list', 'files')
  assert.deepEqual(contextUnder(['context.args.n == 1'], listing), new Map())
})

test('a caller that acts for itself has a chain of nobody else', () => {
  const delegation = (principal: typeof request.principal) =>
    contextUnder(['context.delegation.depth == 0'], { ...request, principal }).get('delegation') as Map<string, Value>
  assert.deepEqual([...delegation(caller('a')).keys()], ['presenter', 'actors', 'depth'])
  const other = { kind: 'workload', id: agent('b') } as const
  for (const over of [{ subject: other }, { act: [agent('b')] }, { subject: other, act: [agent('c')] }])
    assert.deepEqual([...delegation(caller('a', [], over)).keys()], ['presenter', 'actors', 'depth', 'workload'])
})

test('within one second the time is made once', () => {
  const clock = new CallClock('UTC')
  const made = clock.record(60)
  assert.equal(clock.record(60), made)
  const next = clock.record(61)
  assert.notEqual(next, made)
  assert.deepEqual(clock.record(60), made)
})

test('days of the week count from Monday as 1', () => {
  // 2027-01-11 is a Monday.
  const days = Array.from({ length: 7 }, (_, day) => Date.UTC(2027, 0, 11 + day) / 1000)
  const clock = new CallClock('UTC')
  assert.deepEqual(
    days.map((seconds) => clock.record(seconds).get('weekday')),
    [1, 2, 3, 4, 5, 6, 7],
  )
})

test('UTC is the time zone of that name, and needs no tables', () => {
  const [plain, zone] = [new CallClock('UTC'), new CallClock('Etc/UTC')]
  // Every hour and weekday, before 1970 as well, at the ends of minutes too.
  for (let seconds = -40_000_000; seconds < 4_000_000_000; seconds += 10_007_959)
    assert.deepEqual(plain.record(seconds), zone.record(seconds), String(seconds))
})

test('an address that is none is there, and unfit', () => {
  const context = contextUnder(['context has address'], {
    ...request,
    context: { ...request.context, remoteAddress: 'localhost' },
  })
  assert(context.get('address') instanceof Unfit)
})
