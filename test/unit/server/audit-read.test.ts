import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { isDoorwardError } from '@doorward/core'
import { identityOf } from '../../../packages/server/src/audit/log-folder.ts'
import { followEntries, readEntries } from '../../../packages/server/src/audit/read.ts'
import type { ReadOptions } from '../../../packages/server/src/audit/read.ts'
import { ORIGIN, newLog } from '../enforcement/record-fixture.ts'

const coded = (code: string) => (error: unknown) => isDoorwardError(error, code)
const entry = (n: number) => ({ kind: 'outcome', body: { n } }) as const
const SMALL = { limits: { segmentBytes: 1500 } }

async function indices(dir: string, options?: ReadOptions): Promise<number[]> {
  const out: number[] = []
  for await (const each of readEntries(dir, options)) out.push(each.index)
  return out
}

test('entries are read in order from any index, across segments, while the writer lives', async () => {
  const log = await newLog()
  const record = await log.open(SMALL)
  for (let n = 0; n < 60; n++) await record.append(entry(n))
  await record.checkpoint()
  const all = Array.from({ length: 60 }, (_, n) => n)
  assert.deepEqual(await indices(log.dir), all)
  for (const from of [0, 1, 17, 58, 59, 60, 1000]) assert.deepEqual(await indices(log.dir, { from }), all.slice(from))
  assert.deepEqual(await indices(log.dir, { from: 20, to: 23 }), [20, 21, 22])
  for await (const each of readEntries(log.dir, { from: 33, to: 34 })) {
    assert.deepEqual([each.origin, each.entry.kind, each.entry.body], [ORIGIN, 'outcome', { n: 33 }])
  }
  assert.deepEqual(await identityOf(log.dir), { origin: ORIGIN, vkey: log.vkey })
  await record.close()
})

test('what no checkpoint covers is read only when asked for', async () => {
  const log = await newLog()
  const record = await log.open()
  const before = await readFile(join(log.dir, 'checkpoint'))
  for (let n = 0; n < 3; n++) await record.append(entry(n))
  await record.close()
  await writeFile(join(log.dir, 'checkpoint'), before)
  assert.deepEqual(await indices(log.dir), [])
  assert.deepEqual(await indices(log.dir, { unsigned: true }), [0, 1, 2])
})

test('following yields every entry once, in order, through segments and a restart of the writer', async () => {
  const log = await newLog()
  const stop = new AbortController()
  const seen: unknown[] = []
  const reading = (async () => {
    for await (const each of followEntries(log.dir, { signal: stop.signal, pollMilliseconds: 2 }))
      seen.push(each.entry.body['n'])
  })()
  for (let round = 0; round < 3; round++) {
    const record = await log.open(SMALL)
    for (let n = 0; n < 40; n++) {
      await record.append(entry(round * 40 + n))
      if (n % 9 === 0) await record.checkpoint()
    }
    await record.close()
  }
  while (seen.length < 120) await new Promise((resolve) => setTimeout(resolve, 2))
  stop.abort()
  await reading
  assert.deepEqual(
    seen,
    Array.from({ length: 120 }, (_, n) => n),
  )
})

test('following stops at its end, and when it is told to', async () => {
  const log = await newLog()
  const record = await log.open()
  for (let n = 0; n < 5; n++) await record.append(entry(n))
  await record.close()
  const seen: number[] = []
  for await (const each of followEntries(log.dir, { from: 2, to: 4, signal: AbortSignal.timeout(60_000) }))
    seen.push(each.index)
  assert.deepEqual(seen, [2, 3])
  const stop = new AbortController()
  for await (const each of followEntries(log.dir, { signal: stop.signal })) if (each.index === 1) stop.abort()
})

test('a covered entry that cannot be read is an error, not an end', async () => {
  const log = await newLog()
  const record = await log.open()
  for (let n = 0; n < 5; n++) await record.append(entry(n))
  await record.close()
  const path = (await log.segments())[0]!
  const bytes = await readFile(path)
  await writeFile(path, bytes.subarray(0, -1))
  await assert.rejects(indices(log.dir), coded('record_corrupt'))
  bytes[bytes.length - 20]! ^= 1
  await writeFile(path, bytes)
  await assert.rejects(indices(log.dir), coded('record_corrupt'))
})

test('a folder without a log has its own code', async () => {
  const log = await newLog()
  await assert.rejects(indices(log.dir), coded('log_not_found'))
  await assert.rejects(identityOf(log.dir), coded('log_not_found'))
})

test('a live log verifies at any moment of its growth, and its tail is reported as not signed yet', async () => {
  const log = await newLog()
  const record = await log.open({ limits: { segmentBytes: 20_000 } })
  const stop = new AbortController()
  let appended = 0
  const writing = Promise.all(
    Array.from({ length: 4 }, async () => {
      while (!stop.signal.aborted) await record.append(entry(appended++))
    }),
  )
  for (let n = 0; n < 10; n++) {
    const report = await log.verify()
    assert.deepEqual(report.problems, [])
    assert.ok(report.entries >= report.checkpointSize)
  }
  stop.abort()
  await writing
  await record.close()
  const report = await log.verify()
  assert.deepEqual([report.origin, report.entries, report.unsigned, report.problems], [ORIGIN, appended, 0, []])
  assert.ok(report.checkpointTime !== null && report.checkpointTime > 0)
})

test('verifying needs the right public key', async () => {
  const [log, other] = [await newLog(), await newLog()]
  const record = await log.open()
  await record.append(entry(0))
  await record.close()
  const { verifyLog } = await import('../../../packages/server/src/audit/verify.ts')
  const { importEd25519 } = await import('@doorward/enforcement')
  const { sha256 } = await import('../enforcement/record-fixture.ts')
  const report = await verifyLog({ folder: log.dir, vkey: other.vkey, sha256, importEd25519 })
  assert.deepEqual(
    new Set(report.problems.map((each) => each.code)),
    new Set(['checkpoint_untrusted', 'record_foreign']),
  )
  await assert.rejects(verifyLog({ folder: log.dir, vkey: 'x', sha256, importEd25519 }), coded('vkey_malformed'))
  const missing = await verifyLog({ folder: log.dir, vkey: log.vkey, sha256, importEd25519, secondCopy: null })
  assert.deepEqual(
    missing.problems.map((each) => each.code),
    ['checkpoint_missing'],
  )
})
