import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { cp, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { crc32 } from 'node:zlib'
import { encodeAbsentFrame, isDoorwardError, leafOfFrame, parseLeaf, scanSegment } from '@doorward/core'
import type { EntryKind } from '@doorward/core'
import { ed25519LogKey } from '@doorward/enforcement'
import type { FileRecord, RedactionStep } from '@doorward/enforcement'
import { verifierOf } from '../../../packages/server/src/apps/prove-log.ts'
import { whenThere } from '../../../packages/server/src/audit/log-folder.ts'
import { readSet } from '../../../packages/server/src/audit/log-set.ts'
import { proveEntry } from '../../../packages/server/src/audit/prove.ts'
import { ORIGIN, logIn, newLog, redactionOf, retentionOf, sha256 } from './record-fixture.ts'
import type { Log } from './record-fixture.ts'

const coded = (code: string) => (error: unknown) => isDoorwardError(error, code)
const CANARY = 'hunter2-canary'
const by = 'spiffe://acme.example/operator/admin'
const asked = (index: number) => ({ index, reason: 'a secret got in', by })
const limits = { segmentBytes: 4000 }

/** Entries of which one holds what must go. */
async function fill(record: FileRecord, secret: number, count: number): Promise<void> {
  for (let n = 0; n < count; n++)
    await record.append({ kind: 'decision', body: n === secret ? { n, text: CANARY.repeat(30) } : { n } })
  await record.checkpoint()
}

/** The writer replaces files meanwhile: one that is gone holds nothing. */
async function filesWith(folder: string, text: string): Promise<readonly string[]> {
  const names = (await readdir(folder, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile())
  const paths = names.map((entry) => join(entry.parentPath, entry.name))
  const held = await Promise.all(paths.map(async (path) => (await whenThere(readFile(path)))?.includes(text)))
  return paths.filter((_, i) => held[i])
}

async function stateOf(log: Log, index: number): Promise<string> {
  for await (const { index: at, content } of readSet([{ origin: ORIGIN, folder: log.dir }]))
    if (at === index) return content.state === 'absent' ? content.why : content.state
  return 'none'
}

test('what an entry says is in no file any more; that it was said, and when, is proven as before', async () => {
  const log = await newLog()
  const record = await log.open({ limits })
  await fill(record, 7, 40)
  const verifier = verifierOf(log.vkey)
  const receipt = () => proveEntry({ folder: log.dir, index: 7, verifier, sha256, show: 'receipt' })
  const { length } = await readFile((await log.segments())[0]!)
  const [extra] = (await receipt()).split('\n').slice(1, 2)
  assert.equal((await filesWith(join(log.dir, '..'), CANARY)).length, 1)
  const { entry, digest } = await redactionOf(log, record).redact(asked(7))
  assert.equal(entry, 40)
  assert.deepEqual(await filesWith(join(log.dir, '..'), CANARY), [])
  assert.equal((await readFile((await log.segments())[0]!)).length, length)
  assert.equal(await stateOf(log, 7), 'redacted')
  assert.equal((await receipt()).split('\n')[1], extra)
  assert.equal(digest.length, 32)
  await assert.rejects(
    proveEntry({ folder: log.dir, index: 7, verifier, sha256, show: 'entry' }),
    coded('payload_absent'),
  )
  await record.append({ kind: 'decision', body: { after: true } })
  await record.close()
  const { problems, absent, entries } = await log.verify()
  assert.deepEqual([problems, absent, entries], [[], 1, 42])
  await (await log.open({ limits })).close()
})

test('an entry of the segment that is being written, and one in a log without its first entries', async () => {
  const log = await newLog()
  const record = await log.open({ limits })
  await fill(record, 598, 600)
  const redaction = redactionOf(log, record)
  await redaction.redact(asked(598))
  const rules = { maxMilliseconds: null, maxBytes: 20_000 }
  const expired = await retentionOf(log, record, { rules }).turn()
  assert.ok(expired !== null && expired.end > 300)
  await redaction.redact(asked(expired.end))
  await assert.rejects(redaction.redact(asked(5)), coded('payload_absent'))
  await record.close()
  assert.deepEqual([(await log.verify()).problems, await filesWith(log.dir, CANARY)], [[], []])
  await (await log.open({ limits })).close()
})

test('what is unknown, not covered, gone already or of a kind that must stay is refused, and nothing is recorded', async () => {
  const log = await newLog()
  const record = await log.open()
  for (const kind of ['decision', 'admin', 'trust', 'issuance', 'lifecycle'] satisfies readonly EntryKind[])
    await record.append({ kind, body: {} })
  await record.checkpoint()
  const redaction = redactionOf(log, record)
  await assert.rejects(redaction.redact(asked(5)), coded('entry_unknown'))
  const pending = record.append({ kind: 'decision', body: {} }).then(() => redaction.redact(asked(5)))
  await assert.rejects(pending, coded('entry_unsigned'))
  for (const index of [1, 2, 3, 4]) await assert.rejects(redaction.redact(asked(index)), coded('entry_protected'))
  const { size } = record.stats()
  await redaction.redact(asked(0))
  await assert.rejects(redaction.redact(asked(0)), coded('payload_absent'))
  assert.equal(record.stats().size, size + 1)
  await record.close()
})

test('a payload that is gone without an entry that says so is found by the verifier, and named', async () => {
  const log = await newLog()
  const record = await log.open()
  await fill(record, 3, 10)
  await record.close()
  const [path] = await log.segments()
  const bytes = await readFile(path!)
  const { frames, offsets } = scanSegment(bytes, crc32)
  const { digest } = parseLeaf(leafOfFrame(sha256, frames[3]!))
  const frame = encodeAbsentFrame({ ...frames[3]!, reason: 'redacted', digest }, offsets[4]! - offsets[3]!, crc32)
  bytes.set(frame, offsets[3])
  await writeFile(path!, bytes)
  const { problems } = await log.verify()
  assert.deepEqual(
    problems.map(({ code, where }) => [code, where]),
    [['payload_absent', `${path}:${offsets[3]}`]],
  )
})

test('a note that names a place where another entry stands changes nothing', async () => {
  const log = await newLog()
  const record = await log.open()
  await fill(record, 3, 10)
  await record.close()
  const [path] = await log.segments()
  const bytes = await readFile(path!)
  const { frames, offsets } = scanSegment(bytes, crc32)
  const digest = Buffer.from(parseLeaf(leafOfFrame(sha256, frames[3]!)).digest).toString('base64')
  const length = offsets[5]! - offsets[4]!
  const note = { v: 1, after: 10, index: 3, segment: 0, offset: offsets[4], length, batch: 3, time: 1, digest }
  await writeFile(join(log.dir, 'redacting'), JSON.stringify(note))
  await assert.rejects(log.open(), coded('record_corrupt'))
  assert.deepEqual(await readFile(path!), bytes)
})

const STEPS: readonly (RedactionStep | 'overwriting')[] = [
  'intended',
  'recorded',
  'covered',
  'located',
  'overwriting',
  'overwritten',
  'forgotten',
]

test('killed after any step, and in the midst of the frame, the next start finishes what is on record', async () => {
  const root = await mkdtemp(join(tmpdir(), 'doorward-redaction-'))
  after(() => rm(root, { recursive: true, force: true }))
  const { privateKey } = generateKeyPairSync('ed25519')
  const keyFile = join(root, 'key.pem')
  await writeFile(keyFile, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 })
  const first = await logIn(join(root, 'first'), ed25519LogKey(privateKey)).open({ limits })
  await fill(first, 12, 100)
  await first.close()
  await Promise.all(
    STEPS.map(async (step) => {
      const place = join(root, step)
      await cp(join(root, 'first'), place, { recursive: true })
      const child = join(import.meta.dirname, 'redaction-kill-child.ts')
      const args = ['--conditions=source', child, place, keyFile, step, '12']
      const [, signal] = await once(spawn(process.execPath, args, { stdio: 'inherit' }), 'exit')
      assert.equal(signal, 'SIGKILL', step)
      const log = logIn(place, ed25519LogKey(privateKey))
      const record = await log.open({ limits })
      let forgotten = 0
      await redactionOf(log, record, { forget: () => void forgotten++ }).resume()
      await record.close()
      const done = step !== 'intended'
      assert.equal(await stateOf(log, 12), done ? 'redacted' : 'present', step)
      assert.equal((await filesWith(place, CANARY)).length, done ? 0 : 1, step)
      assert.equal(forgotten, done ? 1 : 0, step)
      const { problems, entries } = await log.verify()
      assert.deepEqual([problems, entries], [[], done ? 101 : 100], step)
      assert.ok(!(await readdir(log.dir)).includes('redacting'), step)
    }),
  )
})
