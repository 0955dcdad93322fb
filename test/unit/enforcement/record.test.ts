import assert from 'node:assert/strict'
import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { epochMillis, isDoorwardError, parseCheckpoint, parseNote } from '@doorward/core'
import { EntryReference, memoryCheckpointStore } from '@doorward/enforcement'
import { readEntries } from '../../../packages/server/src/audit/read.ts'
import { ORIGIN, faultyDisk, newLog } from './record-fixture.ts'

const coded = (code: string) => (error: unknown) => isDoorwardError(error, code)
const entry = (n: number) => ({ kind: 'decision', body: { n } }) as const

async function numbers(dir: string): Promise<unknown[]> {
  const out: unknown[] = []
  for await (const each of readEntries(dir, { unsigned: true })) out.push(each.entry.body['n'])
  return out
}

test('entries get contiguous indices from 0 in the order of the calls, across reopening', async () => {
  const log = await newLog()
  let record = await log.open()
  const first = await Promise.all(Array.from({ length: 50 }, (_, n) => record.append(entry(n))))
  await record.close()
  record = await log.open()
  const second = await Promise.all(Array.from({ length: 50 }, (_, n) => record.append(entry(50 + n))))
  await record.close()
  const references = [...first, ...second]
  assert.deepEqual(
    references.map((each) => each.index),
    Array.from({ length: 100 }, (_, n) => n),
  )
  assert.ok(references.every((each) => EntryReference.isReference(each) && each.origin === ORIGIN))
  assert.equal(String(references[7]), `${ORIGIN}#7`)
  assert.deepEqual(
    await numbers(log.dir),
    Array.from({ length: 100 }, (_, n) => n),
  )
  assert.deepEqual((await log.verify()).problems, [])
})

test('nothing but the record makes a reference', () => {
  assert.equal(EntryReference.isReference({ origin: ORIGIN, index: 0 }), false)
  assert.equal(EntryReference.isReference(Object.create(EntryReference.prototype)), false)
})

test('200 concurrent appends share a few syncs, a lone one is written at once', async () => {
  const log = await newLog()
  const disk = faultyDisk()
  const record = await log.open({ disk })
  disk.syncs = 0
  await Promise.all(Array.from({ length: 200 }, (_, n) => record.append(entry(n))))
  assert.ok(disk.syncs <= 4, `${disk.syncs} syncs`)
  disk.syncs = 0
  await record.append(entry(200))
  assert.equal(disk.syncs, 1)
  await record.close()
})

test('an entry is acknowledged only after its sync', async () => {
  const log = await newLog()
  const disk = faultyDisk()
  const record = await log.open({ disk })
  const gate = Promise.withResolvers<void>()
  disk.gate = gate.promise
  disk.syncs = 0
  let acknowledged = false
  const appended = record.append(entry(0)).then(() => (acknowledged = true))
  while (disk.syncs < 1) await new Promise(setImmediate)
  assert.equal(acknowledged, false)
  assert.equal(record.stats().size, 0)
  gate.resolve()
  await appended
  await record.close()
})

test('times never decrease, whatever the clock does, also across reopening', async () => {
  const log = await newLog()
  const times = [5000, 4000, 6000, 1, 6000]
  let record = await log.open({ clock: () => epochMillis(times.shift()!) })
  for (let n = 0; n < 5; n++) await record.append(entry(n))
  await record.close()
  record = await log.open({ clock: () => epochMillis(10) })
  await record.append(entry(5))
  await record.close()
  const seen: number[] = []
  for await (const each of readEntries(log.dir)) seen.push(each.entry.time)
  assert.deepEqual(seen, [5000, 5000, 6000, 6000, 6000, 6000])
  assert.deepEqual((await log.verify()).problems, [])
})

test('a full queue refuses with its own code and loses nothing that it took', async () => {
  const log = await newLog()
  const disk = faultyDisk()
  const record = await log.open({ disk, limits: { queueEntries: 10 } })
  const gate = Promise.withResolvers<void>()
  disk.gate = gate.promise
  const results = Array.from({ length: 30 }, (_, n) => record.append(entry(n)))
  const settled = Promise.allSettled(results)
  gate.resolve()
  const refused = (await settled).filter((each) => each.status === 'rejected')
  // Ten wait for the end of the turn.
  assert.equal(refused.length, 20)
  assert.ok(refused.every((each) => isDoorwardError(each.reason, 'record_busy')))
  await record.close()
  assert.deepEqual(
    await numbers(log.dir),
    Array.from({ length: 10 }, (_, n) => n),
  )
})

test('an entry that is no entry is refused and takes no index', async () => {
  const log = await newLog()
  const record = await log.open()
  await assert.rejects(record.append({ kind: 'decision', body: [] }), coded('entry_malformed'))
  await assert.rejects(record.append({ kind: 'decision', body: { x: 'x'.repeat(300_000) } }), coded('entry_too_large'))
  await assert.rejects(record.append({ kind: 'nonsense' as 'admin', body: {} }), coded('entry_malformed'))
  assert.equal((await record.append(entry(0))).index, 0)
  await record.close()
  await assert.rejects(record.append(entry(1)), coded('record_closed'))
})

test('the checkpoint covers what was acknowledged, in both places, and needs no wait for it', async () => {
  const log = await newLog()
  const store = memoryCheckpointStore()
  const record = await log.open({ checkpointStore: store })
  const size = async (): Promise<number> => parseCheckpoint(parseNote((await store.newest())!).text).size
  assert.equal(await size(), 0)
  for (let n = 0; n < 300; n++) void record.append(entry(n))
  await record.append(entry(300))
  const signed = await record.checkpoint()
  assert.deepEqual([signed.size, await size()], [301, 301])
  assert.equal(await readFile(join(log.dir, 'checkpoint'), 'utf8'), signed.note)
  assert.equal(await store.newest(), signed.note)
  // The tiles of C2SP tlog-tiles for 301 entries; partial ones of the full tile are gone.
  assert.deepEqual(await readdir(join(log.dir, 'tile/0')), ['000', '001.p'])
  assert.deepEqual(await readdir(join(log.dir, 'tile/entries')), ['000', '001.p'])
  assert.ok((await readdir(join(log.dir, 'tile/0/001.p'))).includes('45'))
  assert.ok((await readdir(join(log.dir, 'tile/1/000.p'))).includes('1'))
  await record.append(entry(301))
  await record.close()
  assert.equal(await size(), 302)
})

test('a checkpoint follows an append by itself', async () => {
  const log = await newLog()
  const record = await log.open()
  await record.append(entry(0))
  while (record.stats().checkpointSize < 1) await new Promise((resolve) => setTimeout(resolve, 5))
  assert.deepEqual((await log.verify()).problems, [])
  await record.close()
})

test('segments roll without a gap, and the log opens and verifies across them', async () => {
  const log = await newLog()
  for (let round = 0; round < 3; round++) {
    const record = await log.open({ limits: { segmentBytes: 2000 } })
    for (let n = 0; n < 100; n += 5) {
      await Promise.all(Array.from({ length: 5 }, (_, i) => record.append(entry(round * 100 + n + i))))
    }
    await record.close()
  }
  assert.ok((await log.segments()).length > 6)
  assert.deepEqual(
    await numbers(log.dir),
    Array.from({ length: 300 }, (_, n) => n),
  )
  const report = await log.verify()
  assert.deepEqual([report.problems, report.entries, report.unsigned, report.checkpointSize], [[], 300, 0, 300])
})

test('the log is readable only by its owner', async (t) => {
  if (process.platform === 'win32') return t.skip('no modes here')
  const { stat } = await import('node:fs/promises')
  const log = await newLog()
  const record = await log.open()
  await record.append(entry(0))
  await record.close()
  assert.equal((await stat(log.dir)).mode & 0o077, 0)
  for (const path of await log.segments()) assert.equal((await stat(path)).mode & 0o077, 0)
})

test('a patient entry shares the next sync, in the order of the calls', async () => {
  const log = await newLog()
  const disk = faultyDisk()
  const record = await log.open({ disk })
  disk.syncs = 0
  const patient = record.append({ ...entry(0), patient: true })
  const [first, second] = await Promise.all([patient, record.append(entry(1))])
  assert.deepEqual([first.index, second.index, disk.syncs], [0, 1, 1])
  await record.close()
})

test('patient entries alone are written all the same, and before the record closes', async () => {
  const log = await newLog()
  const record = await log.open()
  assert.equal((await record.append({ ...entry(0), patient: true })).index, 0)
  const last = record.append({ ...entry(1), patient: true })
  await record.close()
  assert.equal((await last).index, 1)
  assert.deepEqual(await numbers(log.dir), [0, 1])
})
