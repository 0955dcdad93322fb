import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import { HandshakeQueue } from '../../../packages/server/src/transports/handshake-queue.ts'

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

test('the first begins at once, those that come with it one per turn and in their order', async () => {
  const begun: number[] = []
  const queue = new HandshakeQueue<number>((one) => void begun.push(one))
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
  })
  queue.add(1)
  deepEqual(begun, [1])
  for (let i = 0; i < 4; i++) await turn()
  deepEqual(begun, [1, 2, 3])
})
