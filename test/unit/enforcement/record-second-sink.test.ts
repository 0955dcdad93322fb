import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { cp, mkdir, mkdtemp, readFile, readdir, rename, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { crc32 } from 'node:zlib'
import { isDoorwardError, scanSegment } from '@doorward/core'
import { ed25519LogKey } from '@doorward/enforcement'
import type { FileRecord, OpenRecordOptions } from '@doorward/enforcement'
import { readEntries } from '../../../packages/server/src/audit/read.ts'
import { seeded } from '../../fuzz/chance.ts'
import { killRepeatedly } from '../../fuzz/record-kills.ts'
import { ORIGIN, faultyDisk, logIn, newLog, redactionOf, retentionOf } from './record-fixture.ts'
import type { Log } from './record-fixture.ts'

const coded = (code: string) => (error: unknown) => isDoorwardError(error, code)
const entry = (n: number) => ({ kind: 'decision', body: { n } }) as const
const FAST = { retryMilliseconds: 10 }

async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'doorward-sink-'))
  after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

interface Sunk {
  readonly log: Log
  readonly secondSink: string
  /** The sink's segments. */
  readonly segments: string
  open(options?: Partial<OpenRecordOptions>): Promise<FileRecord>
  /** Folders of log, second copy and sink, as they are now; puts those back that are named. */
  save(): Promise<(...names: readonly ('log' | 'copy' | 'sink')[]) => Promise<void>>
}

async function newSunk(): Promise<Sunk> {
  const [log, secondSink] = [await newLog(), await newFolder()]
  const folders = { log: log.dir, copy: log.copy, sink: secondSink }
  return {
    log,
    secondSink,
    segments: join(secondSink, ORIGIN.replaceAll('/', '+'), 'segments'),
    open: (options) => log.open({ secondSink, ...options }),
    async save() {
      const saved = await newFolder()
      for (const [name, folder] of Object.entries(folders)) await cp(folder, join(saved, name), { recursive: true })
      return async (...names) => {
        for (const name of names) {
          await rm(folders[name], { recursive: true })
          await cp(join(saved, name), folders[name], { recursive: true })
        }
      }
    },
  }
}

async function appended(record: FileRecord, from: number, to: number): Promise<void> {
  for (let n = from; n < to; n++) assert.equal((await record.append(entry(n))).index, n)
}

async function numbers(dir: string): Promise<unknown[]> {
  const out: unknown[] = []
  for await (const each of readEntries(dir, { unsigned: true })) out.push(each.entry.body['n'])
  return out
}

async function content(folder: string): Promise<Record<string, string>> {
  const names = (await readdir(folder)).toSorted()
  const read = async (name: string) => [name, (await readFile(join(folder, name))).toString('base64')] as const
  return Object.fromEntries<string>(await Promise.all(names.map(read)))
}

async function sameInBoth({ log, segments }: Sunk): Promise<void> {
  assert.deepEqual(await content(segments), await content(join(log.dir, 'segments')))
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5))
}

test('every acknowledged entry is in both places, byte by byte, over several segments', async () => {
  const sunk = await newSunk()
  const record = await sunk.open({ limits: { segmentBytes: 1500 } })
  for (let n = 0; n < 30; n++) {
    await record.append(entry(n))
    await sameInBoth(sunk)
  }
  await record.close()
  assert.ok((await sunk.log.segments()).length > 2)
  const { mode } = await stat(join(sunk.segments, '0000000000000000.journal'))
  assert.equal(mode & 0o777, 0o600)
  await (await sunk.open()).close()
  await sameInBoth(sunk)
})

for (const [place, folder] of [
  ['the log', ({ log }: Sunk) => log.dir],
  ['the second sink', ({ secondSink }: Sunk) => secondSink],
] as const) {
  for (const operation of ['write', 'sync'] as const) {
    test(`nothing is acknowledged while a ${operation} to ${place} fails, and all goes on by itself`, async () => {
      const sunk = await newSunk()
      const disk = faultyDisk()
      Object.assign(disk, { torn: true, only: folder(sunk), code: 'EIO' })
      const record = await sunk.open({ disk, limits: FAST })
      await appended(record, 0, 2)
      disk.broken.add(operation)
      const results = await Promise.allSettled([2, 3].map((n) => record.append(entry(n))))
      assert.ok(results.every((each) => each.status === 'rejected' && coded('record_unavailable')(each.reason)))
      disk.broken.clear()
      await until(() => record.stats().state === 'open')
      await appended(record, 2, 4)
      assert.equal(disk.reused, 0)
      await record.close()
      await sameInBoth(sunk)
      assert.deepEqual((await sunk.log.verify()).problems, [])
    })
  }
}

test('a sink that goes away and comes back empty while the record runs is filled before anything is acknowledged', async () => {
  const sunk = await newSunk()
  const disk = faultyDisk()
  const record = await sunk.open({ disk, limits: { ...FAST, segmentBytes: 700 } })
  await appended(record, 0, 9)
  disk.only = sunk.secondSink
  disk.broken.add('write')
  await rename(sunk.secondSink, `${sunk.secondSink}.gone`)
  await assert.rejects(record.append(entry(9)), coded('record_unavailable'))
  disk.broken.clear()
  await new Promise((resolve) => setTimeout(resolve, 60))
  assert.equal(record.stats().state, 'failed', 'a folder that is not there is not made')
  await mkdir(sunk.secondSink)
  await until(() => record.stats().state === 'open')
  await appended(record, 9, 11)
  await record.close()
  await rm(`${sunk.secondSink}.gone`, { recursive: true })
  await sameInBoth(sunk)
})

test('a sink that lags is brought up from the log before it serves: new, old, or torn', async () => {
  const sunk = await newSunk()
  const limits = { segmentBytes: 900 }
  const alone = await sunk.log.open({ limits })
  await appended(alone, 0, 5)
  await alone.close()
  await (await sunk.open({ limits })).close()
  await sameInBoth(sunk)
  const again = await sunk.log.open({ limits })
  await appended(again, 5, 20)
  await again.close()
  await (await sunk.open({ limits })).close()
  await sameInBoth(sunk)
  const last = (await readdir(sunk.segments)).toSorted().at(-1) ?? ''
  await truncate(join(sunk.segments, last), (await stat(join(sunk.segments, last))).size - 5)
  await (await sunk.open({ limits })).close()
  await sameInBoth(sunk)
  assert.deepEqual((await sunk.log.verify()).problems, [])
})

test('the last write in the sink alone is what a kill leaves: the log takes it over, and gives no index twice', async () => {
  const sunk = await newSunk()
  const before = await sunk.open()
  await appended(before, 0, 3)
  await before.close()
  const putBack = await sunk.save()
  const record = await sunk.open()
  // One batch of three.
  await Promise.all([3, 4, 5].map((n) => record.append(entry(n))))
  await record.close()
  await putBack('log', 'copy')
  const settled = await sunk.open()
  await appended(settled, 6, 7)
  await settled.close()
  assert.deepEqual(await numbers(sunk.log.dir), [0, 1, 2, 3, 4, 5, 6])
  await sameInBoth(sunk)
  assert.deepEqual((await sunk.log.verify()).problems, [])
})

test('the same with the last write torn in the middle of the log', async () => {
  const sunk = await newSunk()
  const record = await sunk.open()
  await appended(record, 0, 3)
  const { size } = await stat((await sunk.log.segments())[0]!)
  await record.close()
  const putBack = await sunk.save()
  const more = await sunk.open()
  await Promise.all([3, 4, 5].map((n) => more.append(entry(n))))
  await more.close()
  const whole = await readFile((await sunk.log.segments())[0]!)
  await putBack('log', 'copy')
  await writeFile((await sunk.log.segments())[0]!, whole.subarray(0, size + Math.floor((whole.length - size) / 2)))
  await (await sunk.open()).close()
  assert.deepEqual(await numbers(sunk.log.dir), [0, 1, 2, 3, 4, 5])
  await sameInBoth(sunk)
})

test('a sink that knows acknowledged entries which the log does not know: the log has gone back', async () => {
  const sunk = await newSunk()
  const record = await sunk.open()
  await appended(record, 0, 3)
  await record.close()
  const putBack = await sunk.save()
  const more = await sunk.open()
  await appended(more, 3, 5)
  await more.close()
  await putBack('log', 'copy')
  await assert.rejects(sunk.open(), coded('record_rollback'))
  // One batch, but the log's own checkpoint covers it.
  await putBack('sink')
  const one = await sunk.open()
  await appended(one, 3, 4)
  await one.close()
  const copied = await sunk.save()
  await putBack('log')
  await assert.rejects(sunk.open(), coded('record_rollback'))
  await copied('log')
  await (await sunk.open()).close()
})

test('retention leaves the sink alone, and a sink without what has expired is none the less a sink', async () => {
  const sunk = await newSunk()
  const limits = { segmentBytes: 4000 }
  const record = await sunk.open({ limits })
  for (let n = 0; n < 700; n += 10) await Promise.all([...Array(10).keys()].map((i) => record.append(entry(n + i))))
  await record.checkpoint()
  const rules = { maxMilliseconds: null, maxBytes: 60_000 }
  const done = await retentionOf(sunk.log, record, { rules }).turn()
  assert.ok(done !== null && done.end > 100)
  await record.close()
  const [kept] = (await readdir(sunk.segments)).toSorted()
  assert.equal(kept, '0000000000000000.journal')
  await (await sunk.open()).close()
  const before = (name: string) => Number(name.slice(0, 16)) < done.end
  for (const name of await readdir(sunk.segments)) if (before(name)) await rm(join(sunk.segments, name))
  await (await sunk.open()).close()
  await sameInBoth(sunk)
  await rm(join(sunk.secondSink), { recursive: true })
  await mkdir(sunk.secondSink)
  await (await sunk.open()).close()
  await (await sunk.open()).close()
  await sameInBoth(sunk)
  assert.deepEqual((await sunk.log.verify()).problems, [])
})

test('a sink whose log is gone is no beginning', async () => {
  const sunk = await newSunk()
  const record = await sunk.open()
  await appended(record, 0, 1)
  await record.close()
  await rm(sunk.log.dir, { recursive: true })
  await rm(sunk.log.copy, { recursive: true })
  await assert.rejects(sunk.open(), coded('record_rollback'))
})

test('the sink of another log or key, and one with other bytes, are refused', async () => {
  const sunk = await newSunk()
  const record = await sunk.open({ limits: { segmentBytes: 900 } })
  await appended(record, 0, 12)
  await record.close()
  const own = await sunk.save()

  const stranger = logIn(await newFolder(), ed25519LogKey(generateKeyPairSync('ed25519').privateKey))
  const theirs = await newFolder()
  const foreign = await stranger.open({ secondSink: theirs })
  await foreign.append(entry(0))
  await foreign.close()
  await rm(sunk.secondSink, { recursive: true })
  await cp(theirs, sunk.secondSink, { recursive: true })
  await assert.rejects(sunk.open(), coded('record_foreign'))

  const other = logIn(await newFolder(), sunk.log.key)
  const sink = await newFolder()
  const fork = await other.open({ secondSink: sink, limits: { segmentBytes: 900 } })
  await appended(fork, 0, 2)
  await fork.close()
  await rm(sunk.secondSink, { recursive: true })
  await cp(sink, sunk.secondSink, { recursive: true })
  await assert.rejects(sunk.open(), coded('record_forked'))

  await own('sink')
  for (const name of (await readdir(sunk.segments)).toSorted().slice(-2)) {
    const path = join(sunk.segments, name)
    const bytes = await readFile(path)
    bytes[Math.floor(bytes.length / 2)]! ^= 1
    await writeFile(path, bytes)
    await assert.rejects(sunk.open(), coded('record_forked'), name)
    await own('sink')
  }
  await (await sunk.open()).close()
})

test('a folder that is not there is no new sink, and the same disk is told', async () => {
  const sunk = await newSunk()
  const told: string[] = []
  await assert.rejects(sunk.open({ secondSink: join(sunk.secondSink, 'mounted') }), coded('record_sink_missing'))
  await (await sunk.open({ warn: (code) => told.push(code) })).close()
  assert.deepEqual(told, ['record_sink_same_disk'])
})

test('entries wait for the slower of both, not for one after the other', async () => {
  const sunk = await newSunk()
  const disk = faultyDisk()
  const record = await sunk.open({ disk })
  let open: () => void = () => undefined
  disk.gate = new Promise((resolve) => (open = resolve))
  const appending = record.append(entry(0))
  const { syncs } = disk
  await until(() => disk.syncs === syncs + 2)
  open()
  await appending
  await record.close()
})

const KILLS = 3

test(`after ${KILLS} kills with a second sink no acknowledged entry is lost, no index was given twice, and both are the same`, async () => {
  const [root, secondSink] = [await newFolder(), await newFolder()]
  const { privateKey } = generateKeyPairSync('ed25519')
  const chance = seeded(20261123)
  const report = await killRepeatedly({ root, privateKey, chance, secondSink, goOn: (kills) => kills < KILLS })
  assert.deepEqual(report.findings, [])
  assert.equal(report.kills, KILLS)
  const log = logIn(root, ed25519LogKey(privateKey))
  await (await log.open({ secondSink })).close()
  const segments = join(secondSink, ORIGIN.replaceAll('/', '+'), 'segments')
  assert.deepEqual(await content(segments), await content(join(log.dir, 'segments')))
})

test('a redaction reaches both, also when a crash came between them', async () => {
  const sunk = await newSunk()
  const record = await sunk.open()
  await appended(record, 0, 20)
  await record.checkpoint()
  const redaction = redactionOf(sunk.log, record)
  await redaction.redact({ index: 4, reason: 'a test', by: 'me' })
  await sameInBoth(sunk)
  // Nothing is written any more while it is copied.
  await record.checkpoint()
  const restore = await sunk.save()
  await redaction.redact({ index: 5, reason: 'a test', by: 'me' })
  await record.close()
  await sameInBoth(sunk)
  // The log has been overwritten, the sink and the note have not been heard of again.
  const frames = scanSegment(await readFile((await sunk.log.segments())[0]!), crc32)
  const [offset, end] = [frames.offsets[5]!, frames.offsets[6]!]
  const { batch, time, absent } = frames.frames[5]!
  const digest = Buffer.from(absent!.digest).toString('base64')
  const note = { v: 1, after: 20, index: 5, segment: 0, offset, length: end - offset, batch, time, digest }
  await writeFile(join(sunk.log.dir, 'redacting'), JSON.stringify(note))
  const whole = await readFile(join(sunk.segments, '0000000000000000.journal'))
  await restore('sink')
  const older = await readFile(join(sunk.segments, '0000000000000000.journal'))
  whole.set(older.subarray(offset, end), offset)
  await writeFile(join(sunk.segments, '0000000000000000.journal'), whole)
  const again = await sunk.open()
  await redactionOf(sunk.log, again).resume()
  await again.close()
  await sameInBoth(sunk)
  assert.deepEqual([(await sunk.log.verify()).problems, (await sunk.log.verify()).absent], [[], 2])
})
