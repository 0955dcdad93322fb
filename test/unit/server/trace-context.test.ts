/** W3C Trace Context as it comes and as it goes on, and who is sampled. */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { readTraceContext, Sampler, traceparentText } from '../../../packages/server/src/observability/trace-context.ts'

// The example of the specification.
const traceId = '0af7651916cd43dd8448eb211c80319c'
const parentId = 'b7ad6b7169203331'
const right = `00-${traceId}-${parentId}-01`

test('a valid traceparent is read, and written as it was', () => {
  deepEqual(readTraceContext(right, undefined), { traceId, parentId, sampled: true, state: null })
  equal(readTraceContext(`00-${traceId}-${parentId}-00`, undefined)?.sampled, false)
  equal(readTraceContext(`00-${traceId}-${parentId}-03`, undefined)?.sampled, true)
  equal(traceparentText({ traceId, parentId, sampled: true }), right)
})

test('a later version is read by what version 00 knows of it', () => {
  deepEqual(readTraceContext(`cc-${traceId}-${parentId}-01-what-comes-later`, undefined)?.traceId, traceId)
  equal(readTraceContext(`cc-${traceId}-${parentId}-01.what`, undefined), null)
})

test('what is not valid is as if it were not there', () => {
  const wrong = [
    undefined,
    '',
    `ff-${traceId}-${parentId}-01`,
    `00-${'0'.repeat(32)}-${parentId}-01`,
    `00-${traceId}-${'0'.repeat(16)}-01`,
    `00-${traceId.toUpperCase()}-${parentId}-01`,
    `00-${traceId}-${parentId}-01-more`,
    `00-${traceId}-${parentId}-1`,
    `00-${traceId}-${parentId}`,
    ` ${right}`,
    `${right}, ${right}`,
  ]
  for (const header of wrong) equal(readTraceContext(header, 'a=b'), null, header)
})

test('tracestate is passed on as it is, or dropped as a whole', () => {
  const state = (header: string | undefined) => readTraceContext(right, header)?.state
  equal(state('rojo=00f067aa0ba902b7,congo=t61rcWkgMzE'), 'rojo=00f067aa0ba902b7,congo=t61rcWkgMzE')
  equal(state('rojo=1 , fw529a3039@dt=FfAAAP,,'), 'rojo=1,fw529a3039@dt=FfAAAP')
  const members = (count: number) => Array.from({ length: count }, (_, i) => `m${i}=1`).join(',')
  equal(state(members(32)), members(32))
  for (const wrong of [
    '',
    ' , ',
    'no member',
    'Upper=1',
    'a=1,a=2',
    'a=',
    'a=\u00fc',
    members(33),
    `a=${'x'.repeat(511)}`,
  ])
    equal(state(wrong), null, wrong)
})

test('whatever comes in the headers, what goes on is valid and bounded', () => {
  fc.assert(
    fc.property(fc.string(), fc.string({ unit: 'binary' }), (tail, state) => {
      const read = readTraceContext(`00-${traceId}-${parentId}-0${tail}`, state)
      ok(read === null || read.state === null || read.state.length <= 512)
      ok(read === null || readTraceContext(traceparentText(read), undefined) !== null)
    }),
  )
})

const context = (sampled: boolean) => ({ traceId, parentId, sampled, state: null })

test('callers that mark everything get the share that is configured, and a burst', () => {
  const sampler = new Sampler(0.1, () => 0.5)
  const kept = Array.from({ length: 10_000 }, () => sampler.keeps(context(true))).filter(Boolean).length
  ok(kept >= 1000 && kept <= 1011, String(kept))
  ok(!new Sampler(1, () => 0).keeps(context(false)))
})

test('what nobody has marked is left to chance; a ratio of 1 keeps everything', () => {
  let next = 0
  const sampler = new Sampler(0.25, () => (next = (next + 1) % 10) / 10)
  const kept = Array.from({ length: 1000 }, () => sampler.keeps(null)).filter(Boolean).length
  ok(kept > 200 && kept <= 260, String(kept))
  const all = new Sampler(1, () => 0.999)
  ok(Array.from({ length: 1000 }, (_, i) => all.keeps(i % 2 === 0 ? null : context(true))).every(Boolean))
})
