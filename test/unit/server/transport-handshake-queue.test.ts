import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { HandshakeQueue } from '../../../packages/enforcement/src/wire/handshake-queue.ts'

setFlagsFromString('--expose-gc')

const idle = { busy: () => false, monotonic: () => 0 }
const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

test('the first begins at once, those that come with it one per turn and in their order', async () => {
  const begun: number[] = []
  const queue = new HandshakeQueue<number>((one) => void begun.push(one), idle)
  for (const one of [1, 2, 3]) queue.add(one)
  deepEqual(begun, [1])
  await turn()
  const after = begun.length
  queue.add(4)
  equal(begun.length, after)
  for (let i = 0; i < 5; i++) {
    const { length } = begun
    await turn()
    equal(begun.length - length <= 1, true)
  }
  deepEqual(begun, [1, 2, 3, 4])
  queue.add(5)
  deepEqual(begun, [1, 2, 3, 4, 5])
})

test('what is added while one begins waits for its turn', async () => {
  const begun: number[] = []
  const queue = new HandshakeQueue<number>((one) => {
    begun.push(one)
    if (one < 3) queue.add(one + 1)
  }, idle)
  queue.add(1)
  deepEqual(begun, [1])
  for (let i = 0; i < 4; i++) await turn()
  deepEqual(begun, [1, 2, 3])
})

test('while callers are served, a pause of twice the time that one took follows it', async () => {
  let now = 0
  let busy = true
  const begun: number[] = []
  const pace = { busy: () => busy, monotonic: () => now }
  const queue = new HandshakeQueue<number>((one) => {
    begun.push(one)
    now += 15
  }, pace)
  for (const one of [1, 2, 3, 4]) queue.add(one)
  const before = performance.now()
  while (begun.length < 2) await turn()
  // Timers may be a millisecond early by this clock.
  equal(performance.now() - before >= 29, true)
  while (begun.length < 3) await turn()
  equal(performance.now() - before >= 58, true)
  busy = false
  await sleep(31)
  deepEqual(begun, [1, 2, 3, 4])
})

test('however long one took, the next begins after fifty milliseconds', async (t) => {
  let now = 0
  const begun: number[] = []
  const queue = new HandshakeQueue<number>(
    (one) => {
      begun.push(one)
      now += 60_000
    },
    { busy: () => true, monotonic: () => now },
  )
  t.mock.timers.enable({ apis: ['setTimeout'] })
  queue.add(1)
  queue.add(2)
  await turn()
  await turn()
  await turn()
  t.mock.timers.tick(49)
  deepEqual(begun, [1])
  t.mock.timers.tick(1)
  deepEqual(begun, [1, 2])
})

test('what has begun is not kept, however long others wait', async () => {
  const begun: WeakRef<object>[] = []
  const queue = new HandshakeQueue<object>((one) => void begun.push(new WeakRef(one)), idle)
  for (let i = 0; i < 4; i++) queue.add({ i })
  // Others keep coming, so that the queue is never empty.
  while (begun.length < 200) {
    queue.add({})
    await turn()
  }
  const gc = runInNewContext('gc') as () => void
  gc()
  equal(begun.slice(0, 100).filter((one) => one.deref() !== undefined).length, 0)
})
