/** Going on after damage: what the tree accounts for may be accepted, what is lost may not, and the log says which it was. */

import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { appendFile, readFile, rm, truncate, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { crc32 } from 'node:zlib'
import { encodeFrames, encodePayload, encodeSegmentHeader, isDoorwardError, scanSegment } from '@doorward/core'
import { fileDisk, setDamageAside } from '@doorward/enforcement'
import { acceptDamage } from '../../../packages/server/src/apps/accept-damage.ts'
import { fsckPlace } from '../../../packages/server/src/apps/fsck-log.ts'
import { keepVerifierKey } from '../../../packages/server/src/apps/log-places.ts'
import { readSet } from '../../../packages/server/src/audit/log-set.ts'
import { ORIGIN, newLog } from '../enforcement/record-fixture.ts'
import type { Log } from '../enforcement/record-fixture.ts'

const coded = (code: string) => (error: unknown) => isDoorwardError(error, code)
const limits = { segmentBytes: 4000 }
const ENTRIES = 150
const place = (log: Log) => ({ name: 'gateway', origin: ORIGIN, folder: log.dir })

async function written(): Promise<Log> {
  const log = await newLog()
  const record = await log.open({ limits })
  for (let n = 0; n < ENTRIES; n += 10)
    await Promise.all(Array.from({ length: 10 }, (_, i) => record.append({ kind: 'decision', body: { n: n + i } })))
  await record.close()
  await keepVerifierKey(log.copy, { origin: ORIGIN, verifierKey: log.vkey })
  return log
}

const accept = (log: Log, file: string) => acceptDamage(place(log), log.copy, { file, reason: 'the disk of June' })
const damagesOf = async (log: Log) => (await fsckPlace(place(log), log.copy)).damages

async function absent(log: Log): Promise<readonly (readonly [number, string])[]> {
  const out: (readonly [number, string])[] = []
  for await (const { index, content } of readSet([place(log)]))
    if (content.state === 'absent') out.push([index, content.why])
  return out
}

/** What a segment is spoilt by, and which of its entries are gone then, counted from its first. */
type Spoilt = (path: string, scan: ReturnType<typeof scanSegment>) => Promise<readonly number[]>

const flip =
  (at: (scan: ReturnType<typeof scanSegment>) => number, gone: readonly number[]): Spoilt =>
  async (path, scan) => {
    const bytes = await readFile(path)
    bytes[at(scan)]! ^= 0x20
    await writeFile(path, bytes)
    return gone
  }

const spoilings: Readonly<Record<string, Spoilt>> = {
  'a payload': flip(({ offsets }) => offsets[3]! + 60, [3]),
  'a length': flip(({ offsets }) => offsets[3]! + 7, [3]),
  'the header': flip(() => 30, []),
  'the magic bytes': flip(() => 2, []),
  'a stretch': async (path, { offsets }) => {
    const bytes = await readFile(path)
    bytes.fill(0xff, offsets[2]! + 10, offsets[6]! + 10)
    await writeFile(path, bytes)
    return [2, 3, 4, 5, 6]
  },
  'its end': async (path, { offsets, frames }) => {
    await truncate(path, offsets[4]! + 5)
    return frames.map((_, i) => i).slice(4)
  },
  'a frame that says something else': async (path, { header, frames }) => {
    const forged = frames.map((frame, i) =>
      i === 4 ? { ...frame, payload: encodePayload('decision', frame.time, { n: 9 }) } : frame,
    )
    await writeFile(path, Buffer.concat([encodeSegmentHeader(header, crc32), encodeFrames(forged, crc32)]))
    return [4]
  },
}

for (const [what, spoil] of Object.entries(spoilings)) {
  for (const which of ['in the midst', 'the last'] as const) {
    // A frame of another length moves what comes after it, which only the last segment bears.
    if (what.startsWith('a frame') && which === 'in the midst') continue
    test(`${what} of a segment, ${which}: set aside, absent with its place, and the log goes on and says so`, async () => {
      const log = await written()
      const path = (await log.segments()).at(which === 'the last' ? -1 : 2)!
      const scan = scanSegment(await readFile(path), crc32)
      const gone = (await spoil(path, scan)).map((i) => scan.header.first + i)
      const damaged = await readFile(path)
      await assert.rejects(log.open({ limits }))
      const { aside, ranges } = await accept(log, path)
      assert.deepEqual(await readFile(aside), damaged)
      assert.deepEqual(
        ranges.flatMap(({ first, end }) => Array.from({ length: end - first }, (_, i) => first + i)),
        gone,
      )
      assert.deepEqual(await damagesOf(log), [])
      const segments = (await log.segments()).length
      const record = await log.open({ limits })
      assert.equal((await record.append({ kind: 'decision', body: {} })).index, ENTRIES + 1)
      await record.close()
      assert.equal((await log.segments()).length, segments + 1)
      const [first] = scanSegment(await readFile((await log.segments()).at(-1)!), crc32).frames
      const said = JSON.parse(Buffer.from(first!.payload).toString()) as { readonly body: Record<string, unknown> }
      assert.deepEqual(
        [first?.index, said.body['change'], said.body['reason'], said.body['set_aside']],
        [ENTRIES, 'record.damage_accepted', 'the disk of June', aside],
      )
      assert.deepEqual([(await log.verify()).problems, await damagesOf(log)], [[], []])
      assert.deepEqual(
        await absent(log),
        gone.map((index) => [index, 'damaged']),
      )
      await (await log.open({ limits })).close()
      assert.equal((await log.verify()).entries, ENTRIES + 2)
    })
  }
}

test('what is whole, what is no segment and a log that is written are refused', async () => {
  const log = await written()
  const [path] = await log.segments()
  await assert.rejects(accept(log, path!), coded('damage_none'))
  await assert.rejects(accept(log, join(log.dir, 'tile/0/000')), coded('log_unknown'))
  const record = await log.open({ limits })
  await assert.rejects(accept(log, path!), coded('record_locked'))
  await record.close()
})

test('entries that were acknowledged and that nothing accounts for are named, and nothing is changed', async () => {
  const log = await written()
  const path = (await log.segments()).at(-1)!
  const { frames } = scanSegment(await readFile(path), crc32)
  const of = (index: number) => {
    const payload = encodePayload('decision', frames.at(-1)!.time, { index })
    return encodeFrames([{ ...frames.at(-1)!, index, batch: index, payload }], crc32)
  }
  const broken = of(ENTRIES)
  broken[50]! ^= 1
  await appendFile(path, Buffer.concat([broken, of(ENTRIES + 1)]))
  const bytes = await readFile(path)
  await assert.rejects(accept(log, path), (error) => {
    assert.ok(isDoorwardError(error, 'damage_lost'))
    assert.equal(error.expected, `a copy that holds entries ${ENTRIES} to ${ENTRIES}`)
    return true
  })
  assert.deepEqual(await readFile(path), bytes)
  await assert.rejects(log.open({ limits }), coded('record_corrupt'))
})

test('without the leaves of what is gone nothing is accepted', async () => {
  const log = await written()
  const path = (await log.segments())[2]!
  const bytes = await readFile(path)
  const { offsets } = scanSegment(bytes, crc32)
  bytes[offsets[3]! + 60]! ^= 1
  await writeFile(path, bytes)
  await rm(join(log.dir, 'tile/entries'), { recursive: true })
  await assert.rejects(accept(log, path), coded('damage_lost'))
  assert.deepEqual(await readFile(path), bytes)
})

test('a segment before one that is missing is not guessed', async () => {
  const log = await written()
  const segments = await log.segments()
  await unlink(segments[1]!)
  await truncate(segments[0]!, 1000)
  await assert.rejects(accept(log, segments[0]!), coded('damage_unfit'))
})

test('a crash on the way leaves what can be done again, and one entry', async () => {
  const log = await written()
  const path = (await log.segments())[2]!
  const bytes = await readFile(path)
  const { offsets, header } = scanSegment(bytes, crc32)
  bytes[offsets[3]! + 60]! ^= 1
  await writeFile(path, bytes)
  // After the note, before the file.
  const stopping = {
    ...fileDisk,
    replace: (...args: Parameters<typeof fileDisk.replace>) =>
      args[0][0]?.path === path ? Promise.reject(new Error('stopped')) : fileDisk.replace(...args),
  }
  const range = { first: header.first + 3, end: header.first + 4 }
  const half = { folder: log.dir, path, repaired: bytes, aside: `${path}.damaged-x`, covered: ENTRIES, ranges: [range] }
  await assert.rejects(setDamageAside(stopping, { ...half, reason: 'r', by: 'me' }), /stopped/)
  await assert.rejects(log.open({ limits }), coded('record_corrupt'))
  await accept(log, path)
  const other = (await log.segments())[1]!
  const [spoilt, bytesOfOther] = [await readFile(other), await readFile(other)]
  spoilt[scanSegment(spoilt, crc32).offsets[2]! + 60]! ^= 1
  await writeFile(other, spoilt)
  await assert.rejects(accept(log, other), coded('damage_pending'))
  assert.ok(existsSync(`${path}.damaged-${ENTRIES}`))
  await writeFile(other, bytesOfOther)
  for (let n = 0; n < 2; n++) await (await log.open({ limits })).close()
  assert.ok(!existsSync(join(log.dir, 'accepting')))
  const { problems, entries } = await log.verify()
  assert.deepEqual([problems, entries], [[], ENTRIES + 1])
})
