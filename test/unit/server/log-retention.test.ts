/** Letting payloads expire beside exports, index and readers, as a gateway or an authority does it. */

import assert from 'node:assert/strict'
import { readFile, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { test } from 'node:test'
import { epochMillis, parseSegmentName } from '@doorward/core'
import type { FileRecord } from '@doorward/enforcement'
import { RunningRetention, keepAll } from '../../../packages/server/src/apps/log-retention.ts'
import { verifierOf } from '../../../packages/server/src/apps/prove-log.ts'
import { everyEntry } from '../../../packages/server/src/audit/query-filter.ts'
import { queryLogs } from '../../../packages/server/src/audit/query.ts'
import { readAll, readEntries } from '../../../packages/server/src/audit/read.ts'
import { parseConfiguration } from '../../../packages/server/src/config/load.ts'
import { ConfigurationError } from '../../../packages/server/src/config/problem.ts'
import { ORIGIN, newLog, sha256 } from '../enforcement/record-fixture.ts'
import type { Log } from '../enforcement/record-fixture.ts'

const limits = { segmentBytes: 6000 }
const ENTRIES = 600

interface Stage {
  readonly log: Log
  readonly record: FileRecord
  /** The first entry that the journal holds. */
  first(): Promise<number>
}

/** A log whose first entries speak of somebody of whom later ones do not. */
async function stage(): Promise<Stage> {
  const log = await newLog()
  const record = await log.open({ limits })
  for (let n = 0; n < ENTRIES; n += 20) {
    const caller = `spiffe://acme.example/agent/${n < 20 ? 'forgotten' : 'planner'}`
    await Promise.all(
      Array.from({ length: 20 }, () => record.append({ kind: 'decision', body: { decision: 'allow', caller } })),
    )
  }
  await record.checkpoint()
  const first = async () => parseSegmentName((await log.segments())[0]?.slice(-24) ?? '') ?? -1
  return { log, record, first }
}

function retain({ log, record }: Stage, more: Partial<ConstructorParameters<typeof RunningRetention>[0]> = {}) {
  const warnings: string[] = []
  const running = new RunningRetention({
    settings: { maxDays: null, maxBytes: 40_000, lookMilliseconds: 5 },
    record,
    recordFolder: log.dir,
    exports: { oldestNeeded: async () => Number.MAX_SAFE_INTEGER },
    clock: () => epochMillis(Date.now()),
    warn: (code) => warnings.push(code),
    ...more,
  })
  return { running, warnings }
}

async function until(done: () => Promise<boolean> | boolean): Promise<void> {
  for (let looks = 0; !(await done()) && looks < 1000; looks++) await sleep(10)
  assert.ok(await done())
}

test('without a rule nothing expires', async () => {
  const at = await stage()
  const { running } = retain(at, { settings: { ...keepAll, lookMilliseconds: 1 } })
  await sleep(30)
  await running.stop()
  assert.equal(await at.first(), 0)
  await at.record.close()
})

test('what an export needs stays until it is delivered', async () => {
  const at = await stage()
  let delivered = 90
  const { running, warnings } = retain(at, { exports: { oldestNeeded: async () => delivered } })
  await until(async () => (await at.first()) > 0)
  await sleep(50)
  const held = await at.first()
  assert.ok(held > 20 && held <= 90, `${held}`)
  delivered = ENTRIES
  await until(async () => (await at.first()) > 90)
  await running.stop()
  assert.deepEqual([warnings, (await at.log.verify()).problems], [[], []])
  await at.record.close()
})

test('what cannot be deleted is told once, and stays', async () => {
  const at = await stage()
  const [segment] = await at.log.segments()
  const bytes = await readFile(segment!)
  bytes[1000]! ^= 1
  await writeFile(segment!, bytes)
  const { running, warnings } = retain(at)
  await until(() => warnings.length > 0)
  await sleep(50)
  await running.stop()
  assert.deepEqual([warnings, await at.first()], [['retention_failing'], 0])
  await at.record.close()
})

test('what has expired is in no file any more, also not in the index, and readers go on from its leaves', async () => {
  const at = await stage()
  const { log, record } = at
  const indexFolder = join(log.dir, '../record-index')
  const queried = {
    origin: ORIGIN,
    folder: log.dir,
    indexFolder,
    vkey: log.vkey,
    verifier: verifierOf(log.vkey),
    sha256,
  }
  const find = async () => {
    const states: string[] = []
    for await (const { content } of queryLogs([queried], { filter: everyEntry, limit: 10_000 }))
      states.push(content.state === 'absent' ? content.why : content.state)
    return states
  }
  assert.equal((await find()).filter((state) => state === 'present').length, ENTRIES)
  const { running } = retain(at)
  await until(async () => (await at.first()) > 100)
  await running.stop()
  await record.checkpoint()
  const first = await at.first()
  const states = await find()
  assert.deepEqual(states.slice(-first - 1), ['present', ...Array.from({ length: first }, () => 'expired')])
  for (const folder of [indexFolder, join(log.dir, 'segments'), log.dir])
    for (const entry of await readdir(folder, { withFileTypes: true }))
      if (entry.isFile()) assert.ok(!(await readFile(join(folder, entry.name))).includes('forgotten'), entry.name)
  const all = []
  for await (const found of readAll(log.dir)) all.push(found)
  const present = []
  for await (const found of readEntries(log.dir, { from: 10 })) present.push(found.index)
  assert.deepEqual([all.length, all[0], present[0]], [ENTRIES + 1, { ...all[0], index: 0, why: 'expired' }, first])
  await record.close()
})

const MIB = 1024 * 1024

test('audit.retention: days and bytes, and nothing else', () => {
  const problems = (text: string) => {
    try {
      return parseConfiguration(`trust_domain: acme.example\naudit:\n  retention: ${text}\n`, 'doorward.yaml').audit
        .retention
    } catch (error) {
      assert.ok(error instanceof ConfigurationError)
      return error.problems.map(({ path }) => path)
    }
  }
  assert.deepEqual(problems('{ max_days: 1 }'), { max_days: 1 })
  assert.deepEqual(problems(`{ max_bytes: ${64 * MIB}, max_days: 365 }`), { max_bytes: 64 * MIB, max_days: 365 })
  assert.deepEqual(problems(`{ max_bytes: ${64 * MIB - 1} }`), ['audit.retention.max_bytes'])
  assert.deepEqual(problems('{ max_days: 0 }'), ['audit.retention.max_days'])
  assert.deepEqual(problems('{ max_days: 1.5 }'), ['audit.retention.max_days'])
  assert.deepEqual(problems('{ max_hours: 5 }'), ['audit.retention.max_hours'])
})
