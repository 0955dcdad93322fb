/** One measurement in a process of its own, so that its memory and its time are its own: `log-process.ts TASK FOLDER [N]`. */

import { mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileCheckpointStore, importEd25519 } from '@doorward/enforcement'
import type { FileRecord } from '@doorward/enforcement'
import { sha256 } from '@doorward/sdk'
import { verifyLog } from '../../../packages/server/src/audit/verify.ts'
import { appendsAt, appendsBy, plainFile, recordAppend } from './appends.ts'
import { openLog, origin, verifierKeyIn } from './log.ts'
import { entriesAtWork, rounds, steadyPerSecond, writerCounts } from './measures.ts'
import type { Grown, Opened, Steady, Verified, WriterRow } from './measures.ts'

const [task = '', folder = '', number = '0'] = process.argv.slice(2)
const tasks: Readonly<Record<string, () => Promise<unknown>>> = {
  appends: () => measureAppends(Number(number)),
  steady: () => measureSteady(Number(number)),
  grow: () => grow(Number(number)),
  open: measureOpen,
  verify: measureVerify,
}
const result = await tasks[task]?.()
console.log(JSON.stringify(result))

async function measureAppends(seconds: number): Promise<readonly WriterRow[]> {
  const [root, plainRoot] = [await mkdtemp(join(folder, 'record-')), await mkdtemp(join(folder, 'plain-'))]
  const log = await openLog(root)
  const plain = await plainFile(plainRoot)
  const variants = { record: recordAppend(log), plain: plain.append }
  await appendsBy(100, 1, variants.record)
  await appendsBy(1, 0.5, variants.plain)
  const rows: WriterRow[] = []
  for (let round = 0; round < rounds; round++) {
    for (const writers of writerCounts) {
      const names = round % 2 === 0 ? (['record', 'plain'] as const) : (['plain', 'record'] as const)
      for (const variant of names)
        rows.push({ variant, writers, ...(await appendsBy(writers, seconds, variants[variant])) })
    }
  }
  await plain.close()
  await log.close()
  return rows
}

async function measureSteady(seconds: number): Promise<Steady> {
  const log = await openLog(await mkdtemp(join(folder, 'steady-')))
  await appendsAt(steadyPerSecond, 1, recordAppend(log))
  const steady = await appendsAt(steadyPerSecond, seconds, recordAppend(log))
  await log.close()
  return steady
}

async function grow(entries: number): Promise<Grown> {
  const log = await openLog(folder)
  const begun = performance.now()
  await appendInAll(log, entries, 1000)
  await log.checkpoint()
  const seconds = (performance.now() - begun) / 1000
  await log.close()
  return { entries, seconds }
}

async function appendInAll(log: FileRecord, entries: number, writers: number): Promise<void> {
  const append = recordAppend(log)
  let written = 0
  const write = async () => {
    while (written < entries) await append(written++)
  }
  await Promise.all(Array.from({ length: writers }, write))
}

/** Memory that a process keeps that has opened the log and written some more entries, however many it had. */
async function measureOpen(): Promise<Opened> {
  const begun = performance.now()
  const log = await openLog(folder)
  const milliseconds = performance.now() - begun
  const { size } = log.stats()
  await appendInAll(log, entriesAtWork, 16)
  const resident = await residentAtRest()
  await log.close()
  return { milliseconds, entries: size, resident }
}

/** Megabytes: the least of several looks, each after a collection. */
async function residentAtRest(): Promise<number> {
  let least = Infinity
  for (let look = 0; look < 8; look++) {
    globalThis.gc?.()
    await sleep(250)
    least = Math.min(least, process.memoryUsage.rss() / 2 ** 20)
  }
  return least
}

async function measureVerify(): Promise<Verified> {
  const begun = performance.now()
  const report = await verifyLog({
    folder: join(folder, 'record'),
    vkey: verifierKeyIn(folder),
    secondCopy: await fileCheckpointStore(join(folder, 'copy'), origin).newest(),
    sha256,
    importEd25519,
  })
  const seconds = (performance.now() - begun) / 1000
  const resident = process.resourceUsage().maxRSS / 1024
  return { seconds, entries: report.entries, problems: report.problems.length, mostResident: resident }
}
