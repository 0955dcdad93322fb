/** Damage of every kind, on real files: it is found, and it is named where it is. */

import assert from 'node:assert/strict'
import { appendFile, readFile, readdir, rm, truncate, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { crc32 } from 'node:zlib'
import { encodeFrames, encodePayload, encodeSegmentHeader, scanSegment } from '@doorward/core'
import { fileCheckpointStore } from '@doorward/enforcement'
import { verifierOf } from '../../../packages/server/src/apps/prove-log.ts'
import { fsckLog } from '../../../packages/server/src/audit/fsck/fsck.ts'
import type { FsckReport } from '../../../packages/server/src/audit/fsck/fsck.ts'
import { seeded } from '../../fuzz/chance.ts'
import { ORIGIN, newLog, redactionOf, retentionOf, sha256 } from '../enforcement/record-fixture.ts'
import type { Log } from '../enforcement/record-fixture.ts'

const limits = { segmentBytes: 4000 }
const ENTRIES = 320

/** A closed log: entries that have expired, one that was redacted, and older partial tiles. */
async function written(expires = true): Promise<Log> {
  const log = await newLog()
  const record = await log.open({ limits })
  for (let n = 0; n < ENTRIES; n += 20) {
    await Promise.all(Array.from({ length: 20 }, (_, i) => record.append({ kind: 'decision', body: { n: n + i } })))
    if (n > 260) await record.checkpoint()
  }
  await record.checkpoint()
  const rules = { maxMilliseconds: null, maxBytes: 14_000 }
  if (expires) assert.ok((await retentionOf(log, record, { rules }).turn()) !== null)
  await redactionOf(log, record).redact({ index: 300, reason: 'a test', by: 'me' })
  await record.close()
  return log
}

async function fsck(log: Log): Promise<FsckReport> {
  const note = await fileCheckpointStore(log.copy, ORIGIN).newest()
  const secondCopy = { note, where: 'second copy' }
  const { dir: folder, vkey } = log
  return fsckLog({ folder, vkey, verifier: verifierOf(vkey), secondCopy, sha256, secondLookMilliseconds: 0 })
}

async function files(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => /\/(segments|tile)\/|\/(checkpoint|expired)$/.test(path))
    .toSorted()
}

const first = (report: FsckReport) => report.damages[0]

test('a log that is whole is told as whole, with what is absent and what is not signed yet', async () => {
  const log = await written()
  const report = await fsck(log)
  assert.deepEqual([report.damages, report.notes, report.unsigned], [[], [], 0])
  assert.ok(report.absent > 100 && report.entries === ENTRIES + 2)
  const record = await log.open({ limits })
  await record.append({ kind: 'decision', body: {} })
  assert.deepEqual((await fsck(log)).damages, [])
  await record.close()
  assert.deepEqual((await fsck(log)).damages, [])
})

test('each of 300 flipped bits, in segments, tiles, bundles, checkpoint and marker, is found in its file and at its byte', async () => {
  const log = await written()
  const chance = seeded(20261123)
  const paths = await files(log.dir)
  assert.ok(paths.some((path) => path.includes('.p/')) && paths.some((path) => path.includes('tile/entries/000')))
  for (let n = 0; n < 300; n++) {
    const path = paths[n % paths.length]!
    const bytes = await readFile(path)
    const bit = Math.floor(chance.next() * bytes.length * 8)
    bytes[bit >> 3]! ^= 1 << (bit & 7)
    await writeFile(path, bytes)
    const { damages } = await fsck(log)
    const found = damages.find(({ file }) => file === path)
    assert.ok(found !== undefined, `${path} bit ${bit}: ${JSON.stringify(damages)}`)
    if (found.bytes !== null) assert.ok(found.bytes.from <= bit >> 3 && bit >> 3 < found.bytes.to, `${path} bit ${bit}`)
    assert.ok(found.kept !== 'lost' && !damages.some(({ code }) => code === 'record_forked'), `${path} bit ${bit}`)
    bytes[bit >> 3]! ^= 1 << (bit & 7)
    await writeFile(path, bytes)
  }
  assert.deepEqual((await fsck(log)).damages, [])
})

test('which entries a damage is about, and what is whole beside it', async () => {
  const log = await written(false)
  const path = (await log.segments())[3]!
  const bytes = await readFile(path)
  const { header, frames, offsets } = scanSegment(bytes, crc32)
  // A length field: the frames behind it are found all the same.
  bytes[offsets[5]! + 7]! ^= 0x40
  await writeFile(path, bytes)
  const index = header.first + 5
  const [damage, ...more] = (await fsck(log)).damages
  assert.deepEqual(more, [])
  assert.deepEqual(
    [damage?.code, damage?.file, damage?.bytes, damage?.entries, damage?.kept],
    ['segment_damaged', path, { from: offsets[5], to: offsets[6] }, { first: index, end: index + 1 }, 'tree'],
  )
  assert.ok(frames.length > 7)
})

test('a segment that was shortened, one that is missing, and the last one without its end', async () => {
  const log = await written(false)
  const restore = await log.save()
  const segments = await log.segments()
  const firstOf = (path: string) => Number(/(\d{16})\.journal$/.exec(path)?.[1])
  const { offsets, header } = scanSegment(await readFile(segments[2]!), crc32)
  await truncate(segments[2]!, offsets[4]! + 3)
  const [cut] = (await fsck(log)).damages
  assert.deepEqual(
    [cut?.file, cut?.entries, cut?.kept],
    [segments[2], { first: header.first + 4, end: firstOf(segments[3]!) }, 'tree'],
  )
  await restore()
  await unlink(segments[2]!)
  const gone = first(await fsck(log))
  assert.deepEqual(
    [gone?.code, gone?.entries],
    ['segment_missing', { first: firstOf(segments[2]!), end: firstOf(segments[3]!) }],
  )
  await restore()
  await unlink(segments[0]!)
  assert.deepEqual(first(await fsck(log))?.entries, { first: 0, end: firstOf(segments[1]!) })
  await restore()
  await unlink(segments.at(-1)!)
  assert.deepEqual(first(await fsck(log))?.entries, { first: firstOf(segments.at(-1)!), end: ENTRIES + 1 })
})

test('entries that were acknowledged and are in no tile are told as lost; a torn end is no damage', async () => {
  const log = await written(false)
  const path = (await log.segments()).at(-1)!
  const { header, frames } = scanSegment(await readFile(path), crc32)
  const next = header.first + frames.length
  const of = (index: number) =>
    encodeFrames(
      [{ ...frames.at(-1)!, index, batch: index, payload: encodePayload('decision', frames.at(-1)!.time, { index }) }],
      crc32,
    )
  const torn = of(next)
  await appendFile(path, torn.subarray(0, 60))
  const report = await fsck(log)
  assert.deepEqual([report.damages, report.notes.length], [[], 1])
  await appendFile(path, Buffer.concat([torn.subarray(60, torn.length - 1), Buffer.from([0]), of(next + 1)]))
  const [lost] = (await fsck(log)).damages
  assert.deepEqual([lost?.kept, lost?.entries], ['lost', { first: next, end: next + 1 }])
})

test('a frame that was rewritten with a right checksum is named; the signed tree says that it is another', async () => {
  const log = await written(false)
  const path = (await log.segments())[1]!
  const { header, frames, offsets } = scanSegment(await readFile(path), crc32)
  const forged = frames.map((frame, i) =>
    i === 4 ? { ...frame, payload: encodePayload('decision', frame.time, { n: 999 }) } : frame,
  )
  await writeFile(path, Buffer.concat([encodeSegmentHeader(header, crc32), encodeFrames(forged, crc32)]))
  const changed = (await fsck(log)).damages.find(({ code }) => code === 'entry_changed')
  assert.deepEqual([changed?.file, changed?.bytes?.from, changed?.entries?.first], [path, offsets[4], header.first + 4])
})

test('an old copy, a marker that lies, a second copy that is damaged and tiles that are gone', async () => {
  const log = await written(false)
  const restore = await log.save()
  const record = await log.open({ limits })
  for (let n = 0; n < 30; n++) await record.append({ kind: 'decision', body: { n } })
  await record.close()
  await restore()
  const old = first(await fsck(log))
  assert.deepEqual([old?.code, old?.kept], ['segment_damaged', 'lost'])
  const other = await written()
  const marker = join(other.dir, 'expired')
  const text = await readFile(marker, 'utf8')
  await writeFile(marker, text.replace(/"entry":\d+/, `"entry":${ENTRIES - 1}`))
  assert.ok((await fsck(other)).damages.some(({ code, file }) => code === 'record_expiry_unproven' && file === marker))
  await writeFile(marker, text)
  const [copy] = await readdir(other.copy)
  const note = await readFile(join(other.copy, copy!), 'utf8')
  await writeFile(join(other.copy, copy!), note.replace(`\n${ENTRIES + 2}\n`, `\n${ENTRIES + 1}\n`))
  assert.deepEqual(first(await fsck(other))?.code, 'checkpoint_damaged')
  await writeFile(join(other.copy, copy!), note)
  await rm(join(other.dir, 'tile/0'), { recursive: true })
  const { damages } = await fsck(other)
  assert.ok(damages.length > 0 && damages.every(({ code, kept }) => code === 'tile_missing' && kept === 'derived'))
})
