/** Proofs out of the files of a log: of entries, and of older checkpoints. */

import assert from 'node:assert/strict'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import {
  formatCheckpoint,
  isDoorwardError,
  openLogProof,
  parseVerifierKey,
  signCheckpoint,
  tilePath,
} from '@doorward/core'
import type { NoteVerifier } from '@doorward/core'
import { EntryLookup } from '../../../packages/server/src/audit/log-set-journal.ts'
import { proveConsistency, proveEntry } from '../../../packages/server/src/audit/prove.ts'
import { ORIGIN, newLog, sha256 } from '../enforcement/record-fixture.ts'
import type { Log } from '../enforcement/record-fixture.ts'

const coded = (code: string) => (error: unknown) => isDoorwardError(error, code)

function verifierOf({ vkey, key }: Log): NoteVerifier {
  const { name, keyId } = parseVerifierKey(sha256, vkey)
  return { name, keyId, key: key.verify }
}

async function logOf(...sizes: readonly number[]) {
  const log = await newLog()
  const checkpoints: string[] = []
  const record = await log.open()
  let n = 0
  for (const size of sizes) {
    const more = Array.from({ length: size - n }, (_, i) => ({ kind: 'outcome', body: { n: n + i } }) as const)
    await Promise.all(more.map((entry) => record.append(entry)))
    n = size
    checkpoints.push((await record.checkpoint()).note)
  }
  await record.close()
  return { log, checkpoints, options: { folder: log.dir, verifier: verifierOf(log), sha256 } }
}

test('every entry of a log is proven with what it says, and as a receipt without it', async () => {
  const size = 600
  const { log, options } = await logOf(256, 300, size)
  const lookup = new EntryLookup(log.dir)
  for (const index of [0, 1, 255, 256, 257, 299, 300, 511, 512, 513, size - 1]) {
    const text = await proveEntry({ ...options, index, show: 'entry', lookup })
    const { entry, origin, ...proven } = openLogProof(sha256, text, options.verifier)
    assert.deepEqual([origin, proven.index, entry?.body], [ORIGIN, index, { n: index }])
    const receipt = openLogProof(sha256, await proveEntry({ ...options, index, show: 'receipt' }), options.verifier)
    assert.deepEqual([receipt.entry, receipt.index, receipt.digest], [null, index, proven.digest])
  }
})

test('an entry that no checkpoint covers has no proof yet', async () => {
  const { options } = await logOf(3)
  await assert.rejects(proveEntry({ ...options, index: 3, show: 'receipt' }), coded('entry_unsigned'))
  const empty = await newLog()
  const folder = join(empty.dir, 'nowhere')
  await assert.rejects(proveEntry({ ...options, folder, index: 0, show: 'entry' }), coded('checkpoint_missing'))
})

test('what has expired has a receipt and nothing else', async () => {
  const log = await newLog()
  const record = await log.open({ limits: { segmentBytes: 1500 } })
  for (let n = 0; n < 40; n++) await record.append({ kind: 'outcome', body: { n } })
  await record.close()
  const options = { folder: log.dir, verifier: verifierOf(log), sha256, index: 2 }
  const [first] = await log.segments()
  await rm(first!)
  await assert.rejects(proveEntry({ ...options, show: 'entry' }), coded('payload_absent'))
  assert.equal(openLogProof(sha256, await proveEntry({ ...options, show: 'receipt' }), options.verifier).index, 2)
})

test('no proof leaves a log whose journal, leaves, tiles or signature do not agree', async () => {
  const { log, options } = await logOf(20)
  const flip = async (path: string, at: number): Promise<() => Promise<void>> => {
    const bytes = await readFile(path)
    const changed = Buffer.from(bytes)
    const place = at < 0 ? bytes.length + at : at
    // Of a note another letter, so that it is still one.
    if (path.endsWith('checkpoint')) changed[place] = changed[place] === 0x41 ? 0x42 : 0x41
    else changed[place]! ^= 1
    await writeFile(path, changed)
    return () => writeFile(path, bytes)
  }
  const [segment] = await log.segments()
  const bundle = join(log.dir, tilePath({ level: 'entries', index: 0, width: 20 }))
  const tile = join(log.dir, tilePath({ level: 0, index: 0, width: 20 }))
  for (const [path, at, code] of [
    [segment!, -3, 'record_corrupt'],
    [bundle, -3, 'proof_invalid'],
    [tile, -3 - 32, 'proof_invalid'],
    [join(log.dir, 'checkpoint'), -6, 'note_unverified'],
  ] as const) {
    const restore = await flip(path, at)
    await assert.rejects(proveEntry({ ...options, index: 19, show: 'entry' }), coded(code), path)
    await restore()
  }
  await proveEntry({ ...options, index: 19, show: 'entry' })
  await rm(tile)
  await assert.rejects(proveEntry({ ...options, index: 19, show: 'receipt' }), coded('tile_missing'))
})

test('proofs are right while the writer goes on', async () => {
  const log = await newLog()
  const record = await log.open()
  const options = { folder: log.dir, verifier: verifierOf(log), sha256, show: 'entry' } as const
  let last = -1
  for (let round = 0; round < 30; round++) {
    const made = await Promise.all(
      Array.from({ length: 20 }, (_, n) => record.append({ kind: 'outcome', body: { n } })),
    )
    const covering = record.checkpoint()
    if (last >= 0) openLogProof(sha256, await proveEntry({ ...options, index: last }), options.verifier)
    await covering
    last = made.at(-1)!.index
  }
  await record.close()
})

test('a log contains every checkpoint that it has ever had', async () => {
  const { checkpoints, options } = await logOf(0, 1, 2, 3, 255, 256, 257, 511, 512, 600)
  for (const note of checkpoints) {
    const { holds, newer } = await proveConsistency(options, note)
    assert.deepEqual([holds, newer.size], [true, 600])
  }
})

test('a checkpoint of a log that went another way, or further, is not contained', async () => {
  const { log, options } = await logOf(300)
  const signer = { name: ORIGIN, keyId: options.verifier.keyId, key: log.key.sign }
  for (const size of [1, 7, 256, 299, 300, 301]) {
    const { note } = await signCheckpoint({ origin: ORIGIN, size, root: new Uint8Array(32) }, signer)
    assert.equal(
      (await proveConsistency(options, note)).holds,
      false,
      formatCheckpoint({ origin: ORIGIN, size, root: new Uint8Array(32) }),
    )
  }
})

test('an older checkpoint is believed only with the key of the log', async () => {
  const { checkpoints, options } = await logOf(5, 9)
  const other = await logOf(5)
  await assert.rejects(proveConsistency(options, other.checkpoints[0]!), coded('note_unverified'))
  await assert.rejects(proveConsistency(options, checkpoints[0]!.replace('\n5\n', '\n4\n')), coded('note_unverified'))
})
