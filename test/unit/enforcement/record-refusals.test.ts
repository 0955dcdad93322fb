import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { epochMillis } from '@doorward/core'
import { RefusalCounter } from '@doorward/enforcement'
import { memoryRecord } from '../../../packages/enforcement/src/record/memory-record.ts'

function counter(entriesPerSecond = 4): {
  record: ReturnType<typeof memoryRecord>
  counter: RefusalCounter
  readonly at: (ms: number) => void
  readonly bodies: () => unknown[]
} {
  let now = 1000
  const record = memoryRecord()
  return {
    record,
    counter: new RefusalCounter({ record, clock: () => epochMillis(now), entriesPerSecond, intervalMilliseconds: 1 }),
    at: (ms) => (now = ms),
    bodies: () => record.entries.map((entry) => entry.body),
  }
}

test('refusals of one source, reason and second are one entry with their count', async () => {
  const { counter: refusals, at, bodies, record } = counter()
  for (let n = 0; n < 1000; n++) refusals.count({ source: '10.0.0.1', reason: 'token_expired' })
  refusals.count({ source: '10.0.0.1', reason: 'token_missing' })
  at(1999)
  refusals.count({ source: '10.0.0.2', reason: 'token_expired' })
  assert.equal(await refusals.flush(), true)
  assert.deepEqual(bodies(), [])
  at(2000)
  refusals.count({ source: '10.0.0.1', reason: 'token_expired' })
  await refusals.flush()
  assert.deepEqual(bodies(), [
    { source: '10.0.0.1', reason: 'token_expired', second: 1, count: 1000 },
    { source: '10.0.0.1', reason: 'token_missing', second: 1, count: 1 },
    { source: '10.0.0.2', reason: 'token_expired', second: 1, count: 1 },
  ])
  assert.ok(record.entries.every((entry) => entry.kind === 'refusals'))
  await refusals.flush(true)
  assert.equal(bodies().length, 4)
})

test('a flood of sources and reasons stays within the budget and every refusal is counted', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.nat(40), fc.nat(40), fc.nat(3)), { maxLength: 400 }),
      fc.integer({ min: 1, max: 6 }),
      async (all, budget) => {
        const { counter: refusals, at, bodies } = counter(budget)
        for (const [source, reason, second] of all) {
          at(1000 * (1 + second))
          refusals.count({ source: `s${source}`, reason: `r${reason}` })
        }
        let before = 0
        for (let flushes = 0; !(await refusals.flush(true)); flushes++) {
          assert.ok(flushes < 3)
          assert.ok(bodies().length - before <= budget)
          before = bodies().length
        }
        assert.ok(bodies().length <= budget * 2)
        assert.equal(
          (bodies() as { count: number }[]).reduce((sum, { count }) => sum + count, 0),
          all.length,
        )
      },
    ),
    { numRuns: 60 },
  )
})

test('what the record refuses stays counted and is written once it recovers', async () => {
  const { counter: refusals, at, bodies, record } = counter()
  for (let n = 0; n < 50; n++) refusals.count({ source: `s${n}`, reason: 'r' })
  at(2000)
  record.failWith(new Error('disk'))
  for (let n = 0; n < 5; n++) assert.equal(await refusals.flush(), false)
  record.failWith(null)
  while (!(await refusals.flush())) continue
  assert.equal(
    (bodies() as { count: number }[]).reduce((sum, { count }) => sum + count, 0),
    50,
  )
})

test('run writes as time passes and writes the rest when stopped', async () => {
  const { counter: refusals, at, bodies } = counter()
  const stop = new AbortController()
  const running = refusals.run(stop.signal)
  refusals.count({ source: 'a', reason: 'r' })
  at(2000)
  while (bodies().length === 0) await new Promise((resolve) => setTimeout(resolve, 1))
  refusals.count({ source: 'b', reason: 'r' })
  stop.abort()
  await running
  assert.equal(bodies().length, 2)
})

test('long names are cut, so that a stranger cannot choose the size of an entry', async () => {
  const { counter: refusals, bodies } = counter()
  refusals.count({ source: 'x'.repeat(100_000), reason: 'y'.repeat(100_000) })
  await refusals.flush(true)
  assert.ok(JSON.stringify(bodies()).length < 400)
})

test('single entries are few in a second, and one source cannot take them all', () => {
  const { counter: refusals, at } = counter()
  const taken = (source: string, times: number) =>
    Array.from({ length: times }, () => refusals.takeSingle(source)).filter(Boolean).length
  assert.equal(taken('10.0.0.1', 20), 4)
  assert.equal(taken('10.0.0.2', 20), 4)
  assert.equal(taken('10.0.0.3', 20), 0)
  at(2000)
  assert.equal(taken('10.0.0.3', 20), 4)
})
