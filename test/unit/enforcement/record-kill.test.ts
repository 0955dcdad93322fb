import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { ed25519LogKey } from '@doorward/enforcement'
import { readEntries } from '../../../packages/server/src/audit/read.ts'
import { logIn } from './record-fixture.ts'

const KILLS = 8
const CHILD = new URL('./record-kill-child.ts', import.meta.url).pathname

/** mulberry32: the kill points are the same in every run. */
function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
}

test(`after ${KILLS} kills no acknowledged entry is lost, no index was given twice, and the log verifies`, async () => {
  const root = await mkdtemp(join(tmpdir(), 'doorward-kill-'))
  const { privateKey } = generateKeyPairSync('ed25519')
  const keyFile = join(root, 'key.pem')
  await writeFile(keyFile, privateKey.export({ type: 'pkcs8', format: 'pem' }))
  const random = seeded(20261122)
  const acknowledged = new Map<number, number>()
  for (let kill = 0; kill < KILLS; kill++) {
    for (const [index, value] of await runAndKill([root, keyFile, String(kill * 1_000_000)], 1 + random() * 1500)) {
      assert.ok(!acknowledged.has(index), `index ${index} twice`)
      acknowledged.set(index, value)
    }
  }
  const log = logIn(root, ed25519LogKey(privateKey))
  const record = await log.open()
  const { size } = record.stats()
  await record.close()
  const found = new Map<number, unknown>()
  for await (const { index, entry } of readEntries(log.dir)) found.set(index, entry.body['n'])
  assert.equal(found.size, size)
  for (const [index, value] of acknowledged) assert.equal(found.get(index), value, `entry ${index}`)
  assert.ok(acknowledged.size > KILLS)
  assert.deepEqual((await log.verify()).problems, [])
  await rm(root, { recursive: true })
})

/** Runs a writer and kills it once it has acknowledged that many entries. */
async function runAndKill(args: readonly string[], entries: number): Promise<readonly (readonly [number, number])[]> {
  const child = spawn(process.execPath, ['--conditions=source', CHILD, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  let [out, errors, lines] = ['', '', 0]
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text))
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text
    lines += text.split('\n').length - 1
    if (lines > entries) child.kill('SIGKILL')
  })
  const [, signal] = (await once(child, 'close')) as [number | null, string | null]
  assert.equal(signal, 'SIGKILL', errors)
  const whole = out.slice(0, out.lastIndexOf('\n')).split('\n').slice(1)
  return whole.map((line) => line.split(' ').map(Number) as [number, number])
}
