import assert from 'node:assert/strict'
import { mkdir, readdir, rm, stat, statfs, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { isDoorwardError } from '@doorward/core'
import type { EntryEnvelope } from '@doorward/core'
import type { FileRecord } from '@doorward/enforcement'
import { readEntries } from '../../../packages/server/src/audit/read.ts'
import { mountSmallDisk } from '../../fixtures/small-disk.ts'
import type { SmallDisk } from '../../fixtures/small-disk.ts'
import { faultyDisk, newLog } from './record-fixture.ts'
import type { Log } from './record-fixture.ts'

const MEGABYTE = 1024 * 1024
const coded = (code: string) => (error: unknown) => isDoorwardError(error, code)
const entry = (n: number) => ({ kind: 'decision', body: { n, filling: 'x'.repeat(2000) } }) as const
const LIMITS = { retryMilliseconds: 20, reserveBytes: 2 * MEGABYTE }

async function until(condition: () => boolean | Promise<boolean>, patience = 10_000): Promise<number> {
  const begun = performance.now()
  while (!(await condition())) {
    if (performance.now() - begun > patience) throw new Error('not in time')
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  return performance.now() - begun
}

/** A log on a disk of its own; null where none can be mounted. */
async function onSmallDisk(megabytes: number): Promise<{ readonly log: Log; readonly disk: SmallDisk } | null> {
  let disk: SmallDisk | null = null
  // Before the folder is removed, which the next line announces.
  after(() => disk?.unmount())
  const log = await newLog()
  await mkdir(log.dir, { recursive: true })
  disk = mountSmallDisk(log.dir, megabytes)
  return disk === null ? null : { log, disk }
}

const reserveOf = (log: Log) => stat(join(log.dir, 'reserve')).catch(() => null)

async function bodies(log: Log): Promise<readonly EntryEnvelope['body'][]> {
  const out: EntryEnvelope['body'][] = []
  for await (const each of readEntries(log.dir, { unsigned: true })) out.push(each.entry.body)
  return out
}

/** Appends until refused; how many were acknowledged. */
async function fillUp(record: FileRecord, disk: SmallDisk): Promise<number> {
  await disk.fill()
  for (let acknowledged = 0; ; acknowledged++) {
    const [result] = await Promise.allSettled([record.append(entry(acknowledged))])
    if (result.status === 'fulfilled') continue
    assert.ok(coded('record_unavailable')(result.reason))
    return acknowledged
  }
}

test('the reserve is really allocated, made anew when it has holes, and not made where it would fill the disk', async () => {
  const log = await newLog()
  const whole = async () => ((await reserveOf(log))?.blocks ?? 0) * 512 >= LIMITS.reserveBytes
  const record = await log.open({ limits: LIMITS })
  await until(whole)
  const made = await reserveOf(log)
  assert.deepEqual([made?.size, (made?.mode ?? 0) & 0o777], [LIMITS.reserveBytes, 0o600])
  await record.close()
  await rm(join(log.dir, 'reserve'))
  await writeFile(join(log.dir, 'reserve'), '')
  const again = await log.open({ limits: LIMITS })
  await until(whole)
  await again.close()

  const small = await onSmallDisk(2)
  if (small === null) return
  const told: string[] = []
  const poor = await small.log.open({ limits: LIMITS, warn: (code) => told.push(code) })
  await until(() => told.length > 0)
  assert.deepEqual([told, await reserveOf(small.log)], [['record_reserve_missing'], null])
  await poor.append(entry(0))
  await poor.close()
})

test('a full disk is on record before nothing is written any more, and the record goes on by itself', async (t) => {
  const small = await onSmallDisk(8)
  if (small === null) return t.diagnostic('no file system can be mounted here: not tested')
  const { log, disk } = small
  const record = await log.open({ limits: LIMITS })
  await until(async () => (await reserveOf(log)) !== null)
  const expected: unknown[] = []
  for (let round = 0; round < 2; round++) {
    const acknowledged = await fillUp(record, disk)
    await until(async () => (await bodies(log)).some(({ event }) => event === 'record.suspended'))
    await until(async () => (await bodies(log)).length === expected.length + acknowledged + 1)
    assert.equal(await reserveOf(log), null)
    let refused = 1
    for (; refused < 30; refused++) {
      await assert.rejects(record.append(entry(refused)), coded('record_unavailable'))
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    assert.deepEqual([record.stats().state, record.stats().suspended], ['failed', true])
    // Space for entries is not enough: it has to be there for the reserve.
    const { bavail, bsize } = await statfs(log.dir)
    assert.ok(bavail * bsize > MEGABYTE)
    await disk.empty()
    t.diagnostic(`goes on ${Math.round(await until(() => record.stats().state === 'open'))} ms after there is space`)
    assert.equal((await reserveOf(log))?.size, LIMITS.reserveBytes)
    for (let n = 0; n < acknowledged; n++) expected.push(n)
    expected.push({ event: 'record.suspended', why: 'ENOSPC' }, { event: 'record.resumed', refused })
  }
  await record.append(entry(0))
  await record.close()
  const said = (await bodies(log)).map(({ filling, n, ...rest }) => (filling === undefined ? rest : n))
  assert.deepEqual(said, [...expected, 0])
  assert.deepEqual((await log.verify()).problems, [])
  await (await log.open({ limits: LIMITS })).close()
})

test('many appends at once against a full disk: exactly those that were acknowledged are on record', async (t) => {
  const small = await onSmallDisk(8)
  if (small === null) return t.diagnostic('no file system can be mounted here: not tested')
  const { log, disk } = small
  const record = await log.open({ limits: LIMITS })
  await until(async () => (await reserveOf(log)) !== null)
  const acknowledged: number[] = []
  const stopping = new AbortController()
  const writers = Array.from({ length: 16 }, async (_, lane) => {
    for (let n = lane; !stopping.signal.aborted; n += 16) {
      const [result] = await Promise.allSettled([record.append(entry(n))])
      if (result.status === 'fulfilled') acknowledged[result.value.index] = n
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
  })
  await until(() => acknowledged.length > 20)
  await disk.fill()
  await until(() => record.stats().suspended)
  await disk.empty()
  await until(() => record.stats().state === 'open')
  const size = acknowledged.length
  await until(() => acknowledged.length > size + 20)
  stopping.abort()
  await Promise.all(writers)
  await record.close()
  const written = (await bodies(log)).map(({ n }) => n)
  for (const [index, n] of written.entries()) assert.equal(acknowledged[index], n)
  const events = (await bodies(log)).filter(({ event }) => event !== undefined)
  assert.deepEqual(
    events.map(({ event }) => event),
    ['record.suspended', 'record.resumed'],
  )
  assert.deepEqual((await log.verify()).problems, [])
})

for (const code of ['EDQUOT', 'EROFS', 'EIO']) {
  test(`${code} on ${code === 'EDQUOT' ? 'a write is a full disk' : 'every operation is refused as long as it stays, and is no full disk'}`, async () => {
    const log = await newLog()
    const disk = faultyDisk()
    disk.code = code
    const record = await log.open({ disk, limits: LIMITS })
    await until(async () => ((await reserveOf(log))?.size ?? 0) === LIMITS.reserveBytes)
    await record.append(entry(0))
    for (const operation of ['write', 'sync', 'replace', 'truncate', 'open'] as const) disk.broken.add(operation)
    await assert.rejects(record.append(entry(1)), coded('record_unavailable'))
    await new Promise((resolve) => setTimeout(resolve, 100))
    await assert.rejects(record.append(entry(2)), coded('record_unavailable'))
    assert.deepEqual([record.stats().suspended, disk.reused], [code === 'EDQUOT', 0])
    disk.broken.clear()
    await until(() => record.stats().state === 'open')
    await record.append(entry(3))
    await record.close()
    const said = (await bodies(log)).map(({ n, event }) => n ?? event)
    const around = code === 'EDQUOT' ? ['record.suspended', 'record.resumed'] : []
    assert.deepEqual(said, [0, ...around, 3])
  })
}

test('a disk that is only full for checkpoints suspends the record, too', async () => {
  const log = await newLog()
  const disk = faultyDisk()
  const record = await log.open({ disk, limits: LIMITS })
  await until(async () => ((await reserveOf(log))?.size ?? 0) === LIMITS.reserveBytes)
  disk.broken.add('replace')
  await record.append(entry(0))
  await until(() => record.stats().suspended)
  await assert.rejects(record.append(entry(1)), coded('record_unavailable'))
  disk.broken.clear()
  await until(() => record.stats().state === 'open' && record.stats().failure === null)
  await record.append(entry(2))
  await record.close()
  const said = (await bodies(log)).map(({ n, event }) => n ?? event)
  assert.deepEqual(said, [0, 'record.suspended', 'record.resumed', 2])
  assert.deepEqual((await log.verify()).problems, [])
})

test('with a second sink there is a reserve on each disk, and either may be the full one', async (t) => {
  const [log, other] = [await newLog(), await onSmallDisk(8)]
  if (other === null) return t.diagnostic('no file system can be mounted here: not tested')
  const {
    disk: small,
    log: { dir: sinkAt },
  } = other
  const record = await log.open({ secondSink: sinkAt, limits: LIMITS })
  const [folder = ''] = await readdir(sinkAt)
  await until(async () => (await stat(join(sinkAt, folder, 'reserve')).catch(() => null)) !== null)
  await until(async () => (await reserveOf(log)) !== null)
  const acknowledged = await fillUp(record, small)
  await until(async () => (await bodies(log)).length === acknowledged + 1)
  await small.empty()
  await until(() => record.stats().state === 'open')
  await record.close()
  const events = (await bodies(log)).map(({ event }) => event).filter((event) => event !== undefined)
  assert.deepEqual(events, ['record.suspended', 'record.resumed'])
})
