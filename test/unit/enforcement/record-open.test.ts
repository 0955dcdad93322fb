import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { appendFile, readFile, readdir, rm, truncate, unlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { crc32 } from 'node:zlib'
import { test } from 'node:test'
import { encodeFrames, encodePayload, encodeSegmentHeader, isDoorwardError, scanSegment } from '@doorward/core'
import { ed25519LogKey, fileCheckpointStore, memoryCheckpointStore } from '@doorward/enforcement'
import { ORIGIN, logIn, newLog } from './record-fixture.ts'
import type { Log } from './record-fixture.ts'

const coded = (code: string) => (error: unknown) => isDoorwardError(error, code)
const entry = (n: number) => ({ kind: 'decision', body: { n } }) as const

/** A closed log of `count` entries in segments of about ten. */
async function written(count: number, segmentBytes = 1200): Promise<Log> {
  const log = await newLog()
  await add(log, count, segmentBytes)
  return log
}

async function add(log: Log, count: number, segmentBytes = 1200): Promise<void> {
  const record = await log.open({ limits: { segmentBytes } })
  for (let n = 0; n < count; n++) await record.append(entry(n))
  await record.close()
}

async function codes(log: Log): Promise<readonly string[]> {
  return [...new Set((await log.verify()).problems.map((problem) => problem.code))]
}

test('a torn last frame is cut off and its index given to the next entry', async () => {
  const log = await written(25)
  const last = (await log.segments()).at(-1)!
  const { header, frames, offsets } = scanSegment(await readFile(last), crc32)
  const index = header.first + frames.length
  const torn = encodeFrames([{ ...frames.at(-1)!, index, batch: index }], crc32)
  for (const length of [1, 20, 47, 48, torn.length - 1]) {
    await appendFile(last, torn.subarray(0, length))
    assert.deepEqual((await log.verify()).problems, [])
    const record = await log.open()
    assert.equal(record.stats().size, 25)
    await record.close()
    assert.equal((await readFile(last)).length, offsets.at(-1))
  }
  const record = await log.open()
  assert.equal((await record.append(entry(25))).index, 25)
  await record.close()
  assert.deepEqual((await log.verify()).problems, [])
})

test('whole frames that no checkpoint covers yet are kept', async () => {
  const log = await written(5)
  const last = (await log.segments()).at(-1)!
  const frame = scanSegment(await readFile(last), crc32).frames.at(-1)!
  const payload = encodePayload('decision', frame.time, { n: 5 })
  await appendFile(last, encodeFrames([{ ...frame, index: 5, batch: 5, payload }], crc32))
  const report = await log.verify()
  assert.deepEqual([report.problems, report.entries, report.unsigned], [[], 6, 1])
  const record = await log.open()
  assert.equal(record.stats().size, 6)
  await record.close()
  assert.equal((await log.verify()).unsigned, 0)
})

test('any flipped bit before the tail refuses the opening or is found by the verifier, file and byte named', async () => {
  const log = await written(30)
  const restore = await log.save()
  const segments = await log.segments()
  for (let n = 0; n < 24; n++) {
    const path = segments[n % segments.length]!
    const bytes = await readFile(path)
    const at = Math.floor((bytes.length * ((n * 37) % 101)) / 101)
    bytes[at]! ^= 1 << (n % 8)
    await writeFile(path, bytes)
    const { problems } = await log.verify()
    assert.ok(
      problems.some(({ code, where }) => code === 'record_corrupt' && where.startsWith(path)),
      `${path} ${at}`,
    )
    if (n % segments.length === segments.length - 1) {
      await assert.rejects(
        log.open(),
        (error) => coded('record_corrupt')(error) && String((error as { where?: string }).where).startsWith(path),
      )
    }
    await restore()
  }
})

test('damage is refused again and again: refusing changes nothing on disk', async () => {
  const log = await written(5, 1e6)
  const path = (await log.segments())[0]!
  const bytes = await readFile(path)
  bytes[bytes.length - 3]! ^= 4
  await writeFile(path, bytes)
  for (let n = 0; n < 3; n++) await assert.rejects(log.open(), coded('record_corrupt'))
  assert.deepEqual(await readFile(path), bytes)
})

test('a log shorter than its checkpoint is refused as rolled back', async () => {
  const log = await written(30, 1e6)
  const path = (await log.segments())[0]!
  const { offsets } = scanSegment(await readFile(path), crc32)
  for (const length of [offsets[29]!, offsets[29]! + 7, offsets[3]!]) {
    await truncate(path, length)
    await assert.rejects(log.open(), coded('record_rollback'), `${length}`)
  }
  assert.ok((await codes(log)).includes('record_rollback'))
})

test('an old copy of the whole folder is refused as rolled back', async () => {
  const log = await written(10)
  const restore = await log.save()
  await add(log, 10)
  await restore()
  await assert.rejects(log.open(), coded('record_rollback'))
  assert.deepEqual(await codes(log), ['record_rollback'])
  await rm(log.dir, { recursive: true })
  await assert.rejects(log.open(), coded('record_rollback'))
})

test('a log that went another way from an old copy is refused as forked', async () => {
  const log = await written(10, 1e6)
  const restore = await log.save()
  const store = fileCheckpointStore(log.copy, ORIGIN)
  const oldCopy = await store.newest()
  await add(log, 10, 1e6)
  await restore()
  const elsewhere = memoryCheckpointStore(oldCopy)
  const record = await log.open({ checkpointStore: elsewhere })
  for (let n = 0; n < 12; n++) await record.append(entry(100 + n))
  await record.close()
  await assert.rejects(log.open(), coded('record_forked'))
  assert.deepEqual(await codes(log), ['record_forked'])
})

test('an entry rewritten with a matching checksum is refused by its tree', async () => {
  const log = await written(10, 1e6)
  const path = (await log.segments())[0]!
  const { header, frames } = scanSegment(await readFile(path), crc32)
  const forged = frames.map((frame) =>
    frame.index === 4 ? { ...frame, payload: encodePayload('decision', frame.time, { n: 99 }) } : frame,
  )
  await writeFile(path, Buffer.concat([encodeSegmentHeader(header, crc32), encodeFrames(forged, crc32)]))
  const { problems } = await log.verify()
  assert.ok(problems.some(({ code, message }) => code === 'tile_differs' && message.includes('entry 4 ')))
  assert.ok(problems.some(({ code }) => code === 'record_forked'))
  // Opening trusts tiles that give the signed root; without them it derives, and sees.
  const tiles = join(log.dir, 'tile')
  await rm(tiles, { recursive: true })
  await assert.rejects(log.open(), coded('record_forked'))
  await assert.rejects(readdir(tiles), { code: 'ENOENT' })
})

test('missing or damaged tiles are derived again from the journal', async () => {
  const log = await written(300, 1e6)
  await unlink(join(log.dir, 'tile/0/000'))
  assert.ok((await codes(log)).includes('tile_missing'))
  await writeFile(join(log.dir, 'tile/0/001.p/44'), new Uint8Array(44 * 32))
  assert.ok((await codes(log)).includes('tile_differs'))
  await (await log.open()).close()
  assert.deepEqual((await log.verify()).problems, [])
  const full = await readFile(join(log.dir, 'tile/0/000'))
  await writeFile(join(log.dir, 'tile/0/000'), Buffer.from(full).fill(7, 100, 101))
  await (await log.open()).close()
  assert.deepEqual(await readFile(join(log.dir, 'tile/0/000')), full)
  for (const partial of ['tile/0/001.p', 'tile/1/000.p', 'tile/entries/001.p'])
    await rm(join(log.dir, partial), { recursive: true })
  await (await log.open()).close()
  assert.deepEqual((await log.verify()).problems, [])
})

test('a missing segment is a gap', async () => {
  const log = await written(40)
  const segments = await log.segments()
  assert.ok(segments.length > 3)
  const restore = await log.save()
  for (const path of segments.slice(0, -1)) {
    await unlink(path)
    await assert.rejects(log.open(), coded('record_gap'), path)
    assert.ok((await codes(log)).includes('record_gap'))
    await restore()
  }
  await unlink(segments.at(-1)!)
  await assert.rejects(log.open(), coded('record_rollback'))
})

test('a shortened or lengthened earlier segment is corrupt, at the byte where it changes', async () => {
  const log = await written(40)
  const path = (await log.segments())[1]!
  const { length } = await readFile(path)
  await truncate(path, length - 5)
  await assert.rejects(
    log.open(),
    (error) => coded('record_corrupt')(error) && (error as { where?: string }).where === `${path}:${length - 5}`,
  )
  await truncate(path, length + 5)
  await assert.rejects(log.open(), coded('record_corrupt'))
})

test('the log or second copy of another origin or key is foreign', async () => {
  const log = await written(5)
  const root = dirname(log.dir)
  const other = ed25519LogKey(generateKeyPairSync('ed25519').privateKey)
  await assert.rejects(logIn(root, other).open(), coded('record_foreign'))
  await assert.rejects(log.open({ origin: 'acme.example/authority' }), coded('record_foreign'))
  await rm(join(log.dir, 'checkpoint'))
  await assert.rejects(
    logIn(root, other).open({ checkpointStore: memoryCheckpointStore(), acceptMissingCopy: true }),
    coded('record_foreign'),
  )
  const stranger = await written(5)
  const note = await fileCheckpointStore(stranger.copy, ORIGIN).newest()
  await assert.rejects(log.open({ checkpointStore: memoryCheckpointStore(note) }), coded('record_foreign'))
})

test('a checkpoint file that is damaged is corrupt', async () => {
  const log = await written(5)
  const path = join(log.dir, 'checkpoint')
  const note = await readFile(path, 'utf8')
  for (const changed of [note.slice(0, -1), note.replace('\n5\n', '\n4\n'), `${note}\n`, '']) {
    await writeFile(path, changed)
    await assert.rejects(log.open(), coded('record_corrupt'))
    assert.ok((await codes(log)).includes('checkpoint_untrusted'))
  }
})

test('a second copy that does not know the log is refused unless the operator vouches for the log', async () => {
  const log = await written(5)
  await rm(log.copy, { recursive: true })
  await assert.rejects(log.open(), coded('record_copy_missing'))
  await (await log.open({ acceptMissingCopy: true })).close()
  await (await log.open()).close()
})

test('a second copy that is ahead of the log file after a crash is followed', async () => {
  const log = await written(5)
  const old = await readFile(join(log.dir, 'checkpoint'))
  await add(log, 5)
  await writeFile(join(log.dir, 'checkpoint'), old)
  const record = await log.open()
  assert.equal(record.stats().size, 10)
  await record.close()
  await rm(join(log.dir, 'checkpoint'))
  await (await log.open()).close()
  assert.deepEqual((await log.verify()).problems, [])
})

test('a second live writer is refused, in this process and in another, and named', async () => {
  const log = await newLog()
  const record = await log.open()
  await assert.rejects(
    log.open(),
    (error) => coded('record_locked')(error) && (error as { got?: string }).got === `process ${process.pid}`,
  )
  const script = `
    const { tryLock } = await import(${JSON.stringify(new URL('../../../packages/enforcement/src/record/writer-lock.ts', import.meta.url).href)})
    process.exit(tryLock(process.argv[1]) === null ? 7 : 0)`
  const ask = async (): Promise<unknown> => {
    const child = spawn(process.execPath, [
      '--conditions=source',
      '--input-type=module',
      '-e',
      script,
      join(log.dir, 'writer.lock'),
    ])
    return (await once(child, 'exit'))[0]
  }
  assert.equal(await ask(), 7)
  await record.append(entry(0))
  await record.close()
  assert.equal(await ask(), 0)
})

test('opening reads the entries after the last full tile, not the whole journal', async () => {
  const log = await written(530)
  // Rot in a segment under a full tile: invisible to opening, the verifier's to find.
  const path = (await log.segments())[0]!
  const bytes = await readFile(path)
  bytes[bytes.length - 3]! ^= 1
  await writeFile(path, bytes)
  await (await log.open()).close()
  assert.ok((await codes(log)).includes('record_corrupt'))
})
