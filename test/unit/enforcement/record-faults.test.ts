import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isDoorwardError } from '@doorward/core'
import { memoryCheckpointStore } from '@doorward/enforcement'
import type { CheckpointStore, FileRecord } from '@doorward/enforcement'
import { readEntries } from '../../../packages/server/src/audit/read.ts'
import { faultyDisk, newLog } from './record-fixture.ts'

const coded = (code: string) => (error: unknown) => isDoorwardError(error, code)
const entry = (n: number) => ({ kind: 'decision', body: { n } }) as const
const FAST = { retryMilliseconds: 10 }

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5))
}

async function recovered(record: FileRecord): Promise<void> {
  await until(() => record.stats().state === 'open')
}

async function numbers(dir: string): Promise<unknown[]> {
  const out: unknown[] = []
  for await (const each of readEntries(dir, { unsigned: true })) out.push(each.entry.body['n'])
  return out
}

for (const operation of ['write', 'sync'] as const) {
  test(`a failed ${operation} refuses what was waiting, touches the descriptor no more, and recovers by itself`, async () => {
    const log = await newLog()
    const disk = faultyDisk()
    disk.torn = true
    const record = await log.open({ disk, limits: FAST })
    await record.append(entry(0))
    disk.broken.add(operation)
    const results = await Promise.allSettled([1, 2, 3].map((n) => record.append(entry(n))))
    assert.ok(results.every((each) => each.status === 'rejected' && isDoorwardError(each.reason, 'record_unavailable')))
    assert.deepEqual([record.stats().state, record.stats().failure], ['failed', 'record_unavailable'])
    await assert.rejects(record.append(entry(4)), coded('record_unavailable'))
    disk.broken.clear()
    await recovered(record)
    assert.equal((await record.append(entry(5))).index, 1)
    assert.equal(disk.reused, 0)
    assert.equal((await log.segments()).length, 2)
    await record.close()
    assert.deepEqual(await numbers(log.dir), [0, 5])
    assert.deepEqual((await log.verify()).problems, [])
    await (await log.open()).close()
  })
}

test('recovery is tried again until the disk is whole again, and starts no second segment for it', async () => {
  const log = await newLog()
  const disk = faultyDisk()
  const record = await log.open({ disk, limits: FAST })
  disk.broken.add('sync').add('truncate').add('replace').add('open')
  await assert.rejects(record.append(entry(0)), coded('record_unavailable'))
  for (const operation of ['truncate', 'replace', 'open'] as const) {
    await new Promise((resolve) => setTimeout(resolve, 30))
    assert.equal(record.stats().state, 'failed')
    disk.broken.delete(operation)
  }
  disk.broken.clear()
  await recovered(record)
  assert.equal((await record.append(entry(1))).index, 0)
  await record.close()
  assert.equal((await log.segments()).length, 1)
  assert.deepEqual(await numbers(log.dir), [1])
  assert.deepEqual((await log.verify()).problems, [])
})

test('repeated failures never give one index twice and never lose an acknowledged entry', async () => {
  const log = await newLog()
  const disk = faultyDisk()
  disk.torn = true
  const record = await log.open({ disk, limits: { ...FAST, segmentBytes: 1500 } })
  const acknowledged = new Map<number, number>()
  let n = 0
  for (let round = 0; round < 12; round++) {
    if (round % 3 === 1) disk.broken.add(round % 2 === 0 ? 'write' : 'sync')
    const results = await Promise.allSettled(
      Array.from({ length: 7 }, async () => {
        const value = n++
        return [(await record.append(entry(value))).index, value] as const
      }),
    )
    for (const each of results) {
      if (each.status !== 'fulfilled') continue
      assert.ok(!acknowledged.has(each.value[0]))
      acknowledged.set(...each.value)
    }
    disk.broken.clear()
    await recovered(record)
  }
  await record.close()
  assert.equal(acknowledged.size, 8 * 7)
  assert.deepEqual(
    await numbers(log.dir),
    [...acknowledged].toSorted((a, b) => a[0] - b[0]).map((each) => each[1]),
  )
  assert.deepEqual((await log.verify()).problems, [])
})

test('a checkpoint that cannot be published does not stop entries at once, and stops them before long', async () => {
  const log = await newLog()
  const disk = faultyDisk()
  const record = await log.open({ disk, limits: FAST })
  disk.broken.add('replace')
  await record.append(entry(0))
  await assert.rejects(record.checkpoint(), coded('record_unavailable'))
  let appended = 1
  const stopped = async (): Promise<boolean> => {
    try {
      await record.append(entry(appended))
      appended += 1
      return false
    } catch (error) {
      assert.ok(isDoorwardError(error, 'record_unavailable'))
      return true
    }
  }
  while (!(await stopped())) await new Promise((resolve) => setTimeout(resolve, 5))
  disk.broken.clear()
  await until(() => record.stats().failure === null)
  await record.append(entry(appended))
  await record.close()
  assert.equal((await numbers(log.dir)).length, appended + 1)
  assert.deepEqual((await log.verify()).problems, [])
})

test('a second copy that stored a note and then failed is no fork', async () => {
  const log = await newLog()
  const memory = memoryCheckpointStore()
  let failures = 0
  const store: CheckpointStore = {
    newest: () => memory.newest(),
    async compareAndSwap(expected, next) {
      const swapped = await memory.compareAndSwap(expected, next)
      if (failures-- > 0) throw new Error('connection lost')
      return swapped
    },
  }
  const record = await log.open({ checkpointStore: store })
  await record.append(entry(0))
  failures = 1
  await assert.rejects(record.checkpoint(), coded('record_unavailable'))
  await record.append(entry(1))
  assert.equal((await record.checkpoint()).size, 2)
  await record.close()
})

test('a second copy that somebody else has written stops the log for good', async () => {
  const log = await newLog()
  const store = memoryCheckpointStore()
  const record = await log.open({ checkpointStore: store, limits: FAST })
  await record.append(entry(0))
  await record.checkpoint()
  assert.ok(await store.compareAndSwap(await store.newest(), 'another note\n'))
  await record.append(entry(1))
  await assert.rejects(record.checkpoint(), coded('record_forked'))
  await assert.rejects(record.append(entry(2)), coded('record_forked'))
  assert.equal(record.stats().state, 'forked')
  await record.close()
  assert.equal(await store.newest(), 'another note\n')
})

test('a key that answers wrongly publishes nothing', async () => {
  const log = await newLog()
  const store = memoryCheckpointStore()
  let lies = false
  const sign = { sign: async (data: Uint8Array) => (lies ? new Uint8Array(64) : log.key.sign.sign(data)) }
  const record = await log.open({ checkpointStore: store, signKey: { ...log.key, sign } })
  const before = await store.newest()
  lies = true
  await record.append(entry(0))
  await assert.rejects(record.checkpoint(), coded('record_unavailable'))
  assert.equal(await store.newest(), before)
  lies = false
  await record.close()
  assert.notEqual(await store.newest(), before)
})
