import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ServerRefused } from '@doorward/sdk'
import { Acknowledger } from '../../../packages/sdk/src/acknowledger.ts'

/** An authority that hears what it is allowed to. */
function stage() {
  const heard: number[] = []
  const sleeps: number[] = []
  const answers: (() => Promise<void>)[] = []
  const problems: unknown[] = []
  const acks = new Acknowledger<number>({
    send: async (told) => {
      await answers.shift()?.()
      heard.push(told)
    },
    runtime: { sleep: async (milliseconds) => void sleeps.push(milliseconds), chance: () => 0 },
    onProblem: (error) => problems.push(error),
  })
  return { heard, sleeps, answers, problems, acks, signal: new AbortController().signal }
}

const settle = () => new Promise((resolve) => setTimeout(resolve, 10))

test('OP-6: of many states that come while one is being acknowledged, the newest alone is', async () => {
  const { acks, heard, answers, signal } = stage()
  const first = Promise.withResolvers<void>()
  answers.push(() => first.promise)
  for (let sequence = 1; sequence <= 50; sequence++) acks.tell(sequence, signal)
  first.resolve()
  await settle()
  assert.deepEqual(heard, [1, 50])
})

test('RV-2: what was not heard is told again, after what the authority asks for, until it is', async () => {
  const { acks, heard, sleeps, answers, problems, signal } = stage()
  const refuse = (retryAfterSeconds: number | null) => async () => {
    throw new ServerRefused('limit_ip', 'too many', { decision: null, permission: null, retryAfterSeconds })
  }
  answers.push(refuse(null), refuse(7), refuse(3600))
  acks.tell(1, signal)
  await settle()
  assert.deepEqual(heard, [1])
  assert.deepEqual(sleeps, [500, 7000, 60_000])
  assert.equal(problems.length, 3)
})

test('many answer one announcement each at a moment of its own', async () => {
  const heard: number[] = []
  const sleeps: number[] = []
  const acks = new Acknowledger<number>({
    send: async (told) => void heard.push(told),
    runtime: { sleep: async (milliseconds) => void sleeps.push(milliseconds), chance: () => 0.5 },
    onProblem: () => undefined,
    spreadMilliseconds: 1500,
  })
  acks.tell(1, new AbortController().signal)
  await settle()
  assert.deepEqual([heard, sleeps], [[1], [750]])
})

test('what nobody wants told any more is not told', async () => {
  const { acks, heard, problems } = stage()
  const stop = new AbortController()
  stop.abort()
  acks.tell(1, stop.signal)
  await settle()
  assert.deepEqual([heard, problems], [[], []])
})
