/** A log must hold what witnesses have cosigned of it, whatever its own checkpoint says. */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { openCheckpoint, signCheckpoint, verifierKey } from '@doorward/core'
import type { SignedCheckpoint } from '@doorward/core'
import { importEd25519 } from '@doorward/enforcement'
import { rootAt, submissionOf } from '../../../packages/server/src/audit/submission.ts'
import { verifyLog } from '../../../packages/server/src/audit/verify.ts'
import { ORIGIN, newLog, sha256 } from '../enforcement/record-fixture.ts'
import type { Log } from '../enforcement/record-fixture.ts'

const words = { kind: 'admin', body: { change: 'test' } } as const

async function grown(log: Log, by: number): Promise<SignedCheckpoint> {
  const record = await log.open()
  for (let i = 0; i < by; i++) await record.append(words)
  const checkpoint = await record.checkpoint()
  await record.close()
  return checkpoint
}

async function problemsOf(log: Log, ...notes: readonly string[]): Promise<readonly (readonly [string, string])[]> {
  const cosigned = notes.map((note, i) => ({ note, where: `witness ${i}` }))
  const { problems } = await verifyLog({ folder: log.dir, vkey: log.vkey, cosigned, sha256, importEd25519 })
  return problems.map(({ code, where }) => [code, where])
}

test('what was cosigned on the way is held, and what was not is found', async () => {
  const log = await newLog()
  const early = await grown(log, 3)
  const late = await grown(log, 300)
  deepEqual(await problemsOf(log, early.note, late.note), [])
  const named = verifierKey(sha256, ORIGIN, log.key.publicKey)
  const signer = { name: ORIGIN, keyId: named.keyId, key: log.key.sign }
  const forked = await signCheckpoint({ ...early, root: late.root }, signer)
  const longer = await signCheckpoint({ ...late, size: late.size + 1 }, signer)
  deepEqual(await problemsOf(log, early.note, forked.note, longer.note), [
    ['record_forked', 'witness 1'],
    ['record_rollback', 'witness 2'],
  ])
  const stranger = await grown(await newLog(), 3)
  deepEqual(await problemsOf(log, stranger.note, 'x'), [
    ['checkpoint_untrusted', 'witness 0'],
    ['checkpoint_untrusted', 'witness 1'],
  ])
})

test('a log shows itself from any size that a witness may know, and not from one that it has not', async () => {
  const log = await newLog()
  const sizes = [await grown(log, 1), await grown(log, 255), await grown(log, 1), await grown(log, 400)]
  const newest = sizes.at(-1)!
  const { keyId } = verifierKey(sha256, ORIGIN, log.key.publicKey)
  for (const { size, root } of sizes) {
    const shown = await submissionOf(sha256, log.dir, size)
    ok('body' in shown)
    equal(openCheckpoint(shown.note, { name: ORIGIN, keyId, key: log.key.verify }).size, newest.size)
    deepEqual(Buffer.from((await rootAt(sha256, log.dir, size)) ?? []), Buffer.from(root))
  }
  const behind = await submissionOf(sha256, log.dir, newest.size + 1)
  equal('behind' in behind ? behind.behind.size : 0, newest.size)
  equal(await rootAt(sha256, log.dir, newest.size + 1), null)
})
