import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { cp, mkdtemp, readFile, readdir, rm, stat, unlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import {
  EXPIRY_FILE,
  epochMillis,
  formatExpiry,
  isDoorwardError,
  openCheckpoint,
  parseEntryBundle,
  parseSegmentName,
} from '@doorward/core'
import { ed25519LogKey } from '@doorward/enforcement'
import type { RetentionStep } from '@doorward/enforcement'
import { readSet } from '../../../packages/server/src/audit/log-set.ts'
import { proveEntry } from '../../../packages/server/src/audit/prove.ts'
import { verifierOf } from '../../../packages/server/src/apps/prove-log.ts'
import { ORIGIN, logIn, newLog, retentionOf, sha256 } from './record-fixture.ts'
import type { Log } from './record-fixture.ts'

const coded = (code: string) => (error: unknown) => isDoorwardError(error, code)
const entry = (n: number) => ({ kind: 'decision', body: { n } }) as const
const ENTRIES = 700
const limits = { segmentBytes: 4000 }
const bytes = (maxBytes: number) => ({ rules: { maxMilliseconds: null, maxBytes } })

async function fill(log: Log, count = ENTRIES, clock = () => epochMillis(Date.now())): Promise<void> {
  const record = await log.open({ limits, clock })
  for (let n = 0; n < count; n += 10)
    await Promise.all(Array.from({ length: 10 }, (_, i) => record.append(entry(n + i))))
  await record.close()
}

async function firsts(log: Log): Promise<readonly number[]> {
  return (await log.segments()).map((path) => parseSegmentName(path.slice(-24)) ?? -1)
}

async function journalBytes(log: Log): Promise<number> {
  const sizes = await Promise.all((await log.segments()).map(async (path) => (await stat(path)).size))
  return sizes.reduce((sum, size) => sum + size, 0)
}

/** A log of which the first entries have expired. */
async function shortened(): Promise<Log> {
  const log = await newLog()
  await fill(log)
  const record = await log.open({ limits })
  await retentionOf(log, record, bytes(60_000)).turn()
  await record.close()
  return log
}

async function expiries(log: Log): Promise<readonly number[]> {
  const found: number[] = []
  for await (const { index, content } of readSet([{ origin: ORIGIN, folder: log.dir }]))
    if (content.state === 'present' && content.entry.body['event'] === 'record.expire') found.push(index)
  return found
}

test('the oldest segments go as far as the journal is too long; the entry that says so comes first, and all proofs hold', async () => {
  const log = await newLog()
  await fill(log)
  const before = await journalBytes(log)
  const kept = await readFile(join(log.dir, 'checkpoint'), 'utf8')
  const record = await log.open({ limits })
  const done = await retentionOf(log, record, bytes(60_000)).turn()
  assert.ok(done !== null && done.first === 0 && done.end > 100)
  assert.equal((await firsts(log))[0], done.end)
  assert.ok((await journalBytes(log)) <= 60_000 + 1000 && before > 60_000)
  assert.equal(await retentionOf(log, record, bytes(60_000)).turn(), null)
  await record.close()

  const report = await log.verify()
  assert.deepEqual([report.problems, report.absent, report.entries], [[], done.end, ENTRIES + 1])
  const verifier = verifierOf(log.vkey)
  for (const index of [0, 3, done.end - 1, done.end, ENTRIES]) {
    const receipt = await proveEntry({ folder: log.dir, index, verifier, sha256, show: 'receipt' })
    assert.match(receipt, /^c2sp\.org\/tlog-proof@v1/)
  }
  await assert.rejects(
    proveEntry({ folder: log.dir, index: 3, verifier, sha256, show: 'entry' }),
    coded('payload_absent'),
  )
  const states = []
  for await (const { content } of readSet([{ origin: ORIGIN, folder: log.dir }])) states.push(content.state)
  assert.deepEqual([states.indexOf('present'), states.length], [done.end, ENTRIES + 1])
  assert.equal(openCheckpoint(kept, verifier).size, ENTRIES)
})

test('a log without its first entries opens, grows, and opens again', async () => {
  const log = await shortened()
  for (let n = 0; n < 2; n++) {
    const record = await log.open({ limits })
    assert.equal((await record.append(entry(n))).index, ENTRIES + 1 + n)
    await record.close()
  }
  assert.deepEqual((await log.verify()).problems, [])
})

test('a second time moves on from where the first ended, and only the newest entry is needed', async () => {
  const log = await shortened()
  const record = await log.open({ limits })
  const from = (await firsts(log))[0]!
  const done = await retentionOf(log, record, bytes(30_000)).turn()
  assert.ok(done?.first === from && done.end > from)
  await record.close()
  assert.deepEqual([(await log.verify()).problems, (await expiries(log)).length], [[], 2])
  await (await log.open()).close()
})

test('segments expire by the age of their newest entry', async () => {
  const log = await newLog()
  let now = 1_700_000_000_000
  await fill(log, 300, () => epochMillis((now += 1000)))
  const old = now
  await fill(log, 400, () => epochMillis((now += 1000)))
  const record = await log.open({ limits, clock: () => epochMillis(now) })
  const rules = { maxMilliseconds: 86_400_000, maxBytes: null }
  const clock = (time: number) => () => epochMillis(time)
  assert.equal(await retentionOf(log, record, { rules, clock: clock(now) }).turn(), null)
  const done = await retentionOf(log, record, { rules, clock: clock(old + 86_400_000) }).turn()
  assert.ok(done !== null && done.end <= 300 && done.end > 230)
  const keepMilliseconds = 9 * 86_400_000
  const late = clock(now + 2 * 86_400_000)
  assert.equal(await retentionOf(log, record, { rules, clock: late, keepMilliseconds }).turn(), null)
  await record.close()
})

test('nothing goes that an export needs, that is being written, or whose leaves are not in full bundles', async () => {
  const log = await newLog()
  await fill(log)
  const record = await log.open({ limits })
  const needing = retentionOf(log, record, { ...bytes(1), oldestNeeded: async () => 120 })
  const done = await needing.turn()
  assert.ok(done !== null && done.end <= 120 && done.end > 60)
  const all = await retentionOf(log, record, bytes(1)).turn()
  assert.ok(all !== null && all.end <= 512 && all.end > 450)
  await record.close()
  assert.deepEqual((await log.verify()).problems, [])
})

test('a segment that is damaged, or does not agree with its leaves, does not expire', async () => {
  for (const spoil of ['segment', 'bundle'] as const) {
    const log = await newLog()
    await fill(log)
    const record = await log.open({ limits })
    const path = spoil === 'segment' ? (await log.segments())[1]! : join(log.dir, 'tile/entries/000')
    const content = await readFile(path)
    content[content.length >> 1]! ^= 8
    await writeFile(path, content)
    const count = (await log.segments()).length
    await assert.rejects(retentionOf(log, record, bytes(1)).turn(), coded('record_corrupt'), spoil)
    assert.equal((await log.segments()).length, count)
    await record.close()
  }
})

test('a first segment that is missing without a marker is a gap, and so is one that is missing after the marker', async () => {
  const log = await newLog()
  await fill(log)
  await unlink((await log.segments())[0]!)
  await assert.rejects(log.open(), coded('record_gap'))
  assert.ok((await log.verify()).problems.some(({ code }) => code === 'record_gap'))
  const other = await shortened()
  await unlink((await other.segments())[0]!)
  await assert.rejects(other.open(), coded('record_gap'))
  assert.ok((await other.verify()).problems.some(({ code }) => code === 'record_gap'))
})

test('a marker without the entry that it names is refused, and nothing is deleted by it', async () => {
  const log = await shortened()
  const path = join(log.dir, EXPIRY_FILE)
  const right = await readFile(path, 'utf8')
  const { end, entry: named } = JSON.parse(right) as { readonly end: number; readonly entry: number }
  const next = (await firsts(log))[1]!
  const before = await log.segments()
  const lies: readonly string[] = [
    formatExpiry(ORIGIN, { end: next, entry: named }),
    formatExpiry(ORIGIN, { end, entry: named - 1 }),
    formatExpiry(ORIGIN, { end, entry: named + 1 }),
    formatExpiry('acme.example/gateway/other', { end, entry: named }),
    right.replace('{', '{ '),
    'nothing',
  ]
  for (const lie of lies) {
    await writeFile(path, lie)
    await assert.rejects(log.open(), coded('record_expiry_unproven'), lie)
    assert.ok(
      (await log.verify()).problems.some(({ code }) => code === 'record_expiry_unproven'),
      lie,
    )
    assert.deepEqual(await log.segments(), before)
  }
  await unlink(path)
  await assert.rejects(log.open(), coded('record_gap'))
  await writeFile(path, right)
  await (await log.open()).close()
})

test('wrong tiles are put right by bundles and journal together; a bundle that is damaged is named, not guessed', async () => {
  const log = await shortened()
  const restore = await log.save()
  const tile = join(log.dir, 'tile/0/000')
  const right = await readFile(tile)
  const wrong = Buffer.from(right)
  wrong[100]! ^= 1
  await writeFile(tile, wrong)
  await (await log.open()).close()
  assert.deepEqual(await readFile(tile), right)
  assert.deepEqual((await log.verify()).problems, [])
  await restore()
  await writeFile(tile, wrong)
  const bundle = join(log.dir, 'tile/entries/000')
  const leaves = await readFile(bundle)
  await writeFile(bundle, leaves.subarray(0, 500))
  await assert.rejects(log.open(), (error) => coded('record_corrupt')(error) && String(error).length > 0)
  leaves[20]! ^= 1
  await writeFile(bundle, leaves)
  await assert.rejects(log.open(), coded('record_forked'))
  assert.equal(parseEntryBundle(leaves).length, 256)
})

test('an old copy of the folder is refused, also where entries have expired since', async () => {
  const log = await newLog()
  await fill(log)
  const restore = await log.save()
  const record = await log.open({ limits })
  await retentionOf(log, record, bytes(60_000)).turn()
  await record.close()
  await restore()
  await assert.rejects(log.open(), coded('record_rollback'))
})

const STEPS: readonly (RetentionStep | 'deleting')[] = [
  'intended',
  'recorded',
  'covered',
  'marked',
  'deleting',
  'deleted',
]

test('killed after any step, the next start finishes it or leaves it, with one entry and nothing lost', async () => {
  const root = await mkdtemp(join(tmpdir(), 'doorward-retention-'))
  after(() => rm(root, { recursive: true, force: true }))
  const { privateKey } = generateKeyPairSync('ed25519')
  const keyFile = join(root, 'key.pem')
  await writeFile(keyFile, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 })
  const first = logIn(join(root, 'first'), ed25519LogKey(privateKey))
  await fill(first)
  await Promise.all(
    STEPS.map(async (step) => {
      const place = join(root, step)
      await cp(join(root, 'first'), place, { recursive: true })
      const child = join(import.meta.dirname, 'retention-kill-child.ts')
      const args = ['--conditions=source', child, place, keyFile, step, '60000']
      const [, signal] = await once(spawn(process.execPath, args, { stdio: 'inherit' }), 'exit')
      assert.equal(signal, 'SIGKILL', step)
      const log = logIn(place, ed25519LogKey(privateKey))
      const record = await log.open({ limits })
      const again = await retentionOf(log, record, bytes(60_000)).turn()
      // Only what had not got as far as its entry is begun anew.
      assert.equal(again === null, step !== 'intended', step)
      await record.close()
      assert.equal((await expiries(log)).length, 1, step)
      const { problems, entries, absent } = await log.verify()
      assert.deepEqual([problems, entries], [[], ENTRIES + 1], step)
      assert.equal(absent, (await firsts(log))[0], step)
      assert.ok(absent > 0, step)
      assert.ok(!(await readdir(log.dir)).includes('expiring'), step)
    }),
  )
})
