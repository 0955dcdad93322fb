/** Logs of several writers as one: their order, their newest entries, and what is no longer in a journal. */

import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import fc from 'fast-check'
import { epochMillis, isDoorwardError, segmentName } from '@doorward/core'
import { ed25519LogKey } from '@doorward/enforcement'
import { EntryLookup, JournalReader } from '../../../packages/server/src/audit/log-set-journal.ts'
import { compareEntries, followSet, mergeEntries, readSet } from '../../../packages/server/src/audit/log-set.ts'
import type { LogFolder, SetEntry } from '../../../packages/server/src/audit/log-set.ts'
import { logIn } from '../enforcement/record-fixture.ts'
import type { Log } from '../enforcement/record-fixture.ts'

const coded = (code: string) => (error: unknown) => isDoorwardError(error, code)
const SMALL = { limits: { segmentBytes: 1500 } }

interface Writer {
  readonly log: Log
  readonly place: LogFolder
  /** Appends one entry for each time. */
  write(...times: readonly number[]): Promise<void>
}

async function newWriter(origin: string): Promise<Writer> {
  const root = await mkdtemp(join(tmpdir(), 'doorward-set-'))
  after(() => rm(root, { recursive: true, force: true }))
  const log = logIn(root, ed25519LogKey(generateKeyPairSync('ed25519').privateKey), origin)
  return {
    log,
    place: { origin, folder: log.dir },
    async write(...times) {
      let now = 0
      const record = await log.open({ ...SMALL, clock: () => epochMillis(now) })
      for (const time of times) {
        now = time
        await record.append({ kind: 'outcome', body: { at: time } })
      }
      await record.close()
    },
  }
}

async function all<T>(entries: AsyncIterable<T>): Promise<T[]> {
  const out: T[] = []
  for await (const entry of entries) out.push(entry)
  return out
}

const shown = ({ origin, index, time }: SetEntry) => `${time} ${origin}#${index}`
const range = (from: number, to: number) => Array.from({ length: to - from }, (_, n) => from + n)

test('entries of all logs come in the order of time, origin and index', async () => {
  const [b, a] = [await newWriter('x.example/b'), await newWriter('x.example/a')]
  await b.write(5, 5, 9, 20)
  await a.write(5, 7, 9, 9, 30)
  assert.deepEqual((await all(readSet([b.place, a.place]))).map(shown), [
    '5 x.example/a#0',
    '5 x.example/b#0',
    '5 x.example/b#1',
    '7 x.example/a#1',
    '9 x.example/a#2',
    '9 x.example/a#3',
    '9 x.example/b#2',
    '20 x.example/b#3',
    '30 x.example/a#4',
  ])
})

test('the newest are the newest of all together, whoever wrote them', async () => {
  const [a, b] = [await newWriter('x.example/a'), await newWriter('x.example/b')]
  await a.write(...range(0, 90))
  await b.write(...range(50, 60), 200)
  const whole = (await all(readSet([a.place, b.place]))).map(shown)
  assert.equal(whole.length, 101)
  for (const newest of [0, 1, 2, 17, 100, 101, 1000])
    assert.deepEqual(
      (await all(readSet([a.place, b.place], { newest }))).map(shown),
      newest === 0 ? [] : whole.slice(-newest),
    )
})

test('merging keeps the order of any sources that are in order', async () => {
  const times = fc.array(fc.nat(20), { maxLength: 12 }).map((some) => some.toSorted((x, y) => x - y))
  async function* source(log: readonly number[], origin: string) {
    for (const [index, time] of log.entries()) yield { origin, index, time: epochMillis(time) }
  }
  await fc.assert(
    fc.asyncProperty(fc.array(times, { maxLength: 5 }), async (logs) => {
      const merged = await all(
        mergeEntries(
          logs.map((log, n) => source(log, `log${n}`)),
          compareEntries,
        ),
      )
      const flat = logs.flatMap((log, n) =>
        log.map((time, index) => ({ origin: `log${n}`, index, time: epochMillis(time) })),
      )
      assert.deepEqual(merged, flat.toSorted(compareEntries))
    }),
  )
})

test('following shows what is there and what comes, also of a log that does not exist yet', async () => {
  const [a, b] = [await newWriter('x.example/a'), await newWriter('x.example/b')]
  await a.write(1, 2, 3)
  const stop = new AbortController()
  const seen: string[] = []
  for await (const entry of followSet([a.place, b.place], { signal: stop.signal, newest: 2, pollMilliseconds: 2 })) {
    seen.push(shown(entry))
    if (seen.length === 2) await b.write(4, 5)
    if (seen.length === 4) await a.write(6)
    if (seen.length === 5) stop.abort()
  }
  assert.deepEqual(seen, [
    '2 x.example/a#1',
    '3 x.example/a#2',
    '4 x.example/b#0',
    '5 x.example/b#1',
    '6 x.example/a#3',
  ])
})

test('what no checkpoint covers is not shown', async () => {
  const a = await newWriter('x.example/a')
  await a.write(1, 2)
  const before = await readFile(join(a.log.dir, 'checkpoint'))
  await a.write(3, 4)
  await writeFile(join(a.log.dir, 'checkpoint'), before)
  assert.equal((await all(readSet([a.place]))).length, 2)
})

test('entries of segments that have expired are told as absent, with their time', async () => {
  const a = await newWriter('x.example/a')
  await a.write(...range(100, 400))
  const segments = await a.log.segments()
  const kept = Number(/(\d{16})\.journal$/.exec(segments[3]!)?.[1])
  for (const segment of segments.slice(0, 3)) await rm(segment)
  const entries = await all(readSet([a.place]))
  assert.deepEqual(
    entries.map(({ index }) => index),
    range(0, 300),
  )
  assert.deepEqual(
    entries.map(({ time }) => time),
    range(100, 400),
  )
  assert.equal(
    entries.findIndex(({ content }) => content.state === 'present'),
    kept,
  )
  assert.ok(entries.slice(kept).every(({ content }) => content.state === 'present'))
})

test('so are those of a segment in the midst, by whatever entry reading begins', async () => {
  const a = await newWriter('x.example/a')
  await a.write(...range(0, 100))
  const firsts = (await a.log.segments()).map((path) => Number(/(\d{16})\.journal$/.exec(path)?.[1]))
  await rm(join(a.log.dir, 'segments', segmentName(firsts[2]!)))
  for (const from of [0, firsts[2]! - 1, firsts[2]!, firsts[2]! + 1, firsts[3]! - 1, firsts[3]!, 99]) {
    const read = await all(new JournalReader(a.log.dir, from).advance(100))
    assert.deepEqual(
      read.map(({ index }) => index),
      range(from, 100),
    )
    for (const { index, frame } of read)
      assert.equal(frame === null, index >= firsts[2]! && index < firsts[3]!, `${index}`)
  }
})

test('a journal that was cut is no expiry', async () => {
  const a = await newWriter('x.example/a')
  await a.write(...range(0, 100))
  await rm((await a.log.segments()).at(-1)!)
  await assert.rejects(all(readSet([a.place])), coded('record_corrupt'))
  const b = await newWriter('x.example/b')
  await b.write(1, 2, 3)
  const [only] = await b.log.segments()
  await truncate(only!, (await readFile(only!)).length - 1)
  await assert.rejects(all(readSet([b.place])), coded('record_corrupt'))
})

test('damage before the end is no expiry either', async () => {
  const a = await newWriter('x.example/a')
  await a.write(...range(0, 100))
  const [, second] = await a.log.segments()
  const bytes = await readFile(second!)
  bytes[bytes.length - 20]! ^= 1
  await writeFile(second!, bytes)
  await assert.rejects(all(readSet([a.place])), coded('record_corrupt'))
})

test('folders without a log are an error, unless somebody waits for one', async () => {
  const a = await newWriter('x.example/a')
  await assert.rejects(all(readSet([a.place])), coded('log_not_found'))
})

test('single entries are found in any order, near marks and far from them, and after a segment was rewritten', async () => {
  const a = await newWriter('x.example/a')
  const record = await a.log.open()
  const size = 1000
  await Promise.all(range(0, size).map((n) => record.append({ kind: 'outcome', body: { n } })))
  await record.close()
  const lookup = new EntryLookup(a.log.dir)
  for (const index of [999, 0, 256, 255, 257, 511, 512, 998, 3, 700, 0]) {
    const { frame } = await lookup.read(index, size)
    assert.equal(frame?.index, index)
  }
  await assert.rejects(lookup.read(size, size), coded('entry_unknown'))
  const [only] = await a.log.segments()
  await writeFile(only!, (await readFile(only!)).subarray(0, 4))
  await assert.rejects(lookup.read(700, size), (error) => isDoorwardError(error))
})
