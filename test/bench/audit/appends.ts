/** Writers that wait for one entry before they write the next: into the record, and into a file with a sync for each entry. */

import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { utf8 } from '@doorward/core'
import type { FileRecord } from '@doorward/enforcement'
import { quantile } from '../statistics.ts'
import { decisionBody } from './log.ts'

export interface Appended {
  readonly entries: number
  readonly perSecond: number
  /** Milliseconds to the acknowledgement. */
  readonly p50: number
  readonly p99: number
}

export type Append = (n: number) => Promise<unknown>

export function recordAppend(log: FileRecord): Append {
  return (n) => log.append({ kind: 'decision', body: decisionBody(n) })
}

export interface PlainFile {
  readonly append: Append
  close(): Promise<void>
}

/** What one would write who knows of nothing better: one write and one fdatasync for each entry, one entry after the other. */
export async function plainFile(folder: string): Promise<PlainFile> {
  const file = await open(join(folder, 'plain'), 'a')
  let last: Promise<unknown> = Promise.resolve()
  const write = async (n: number) => {
    await file.appendFile(utf8(`${JSON.stringify(decisionBody(n))}\n`))
    await file.datasync()
  }
  return {
    append: (n) => (last = last.then(() => write(n))),
    close: () => file.close(),
  }
}

/** So many writers at once, for so long. */
export async function appendsBy(writers: number, seconds: number, append: Append): Promise<Appended> {
  const latencies: number[] = []
  const begun = performance.now()
  const end = begun + seconds * 1000
  let n = 0
  const write = async () => {
    while (performance.now() < end) {
      const before = performance.now()
      await append(n++)
      latencies.push(performance.now() - before)
    }
  }
  await Promise.all(Array.from({ length: writers }, write))
  return summaryOf(latencies, performance.now() - begun)
}

/** So many entries a second, evenly, whether or not the ones before are acknowledged; late ones count from their time. */
export async function appendsAt(perSecond: number, seconds: number, append: Append): Promise<Appended> {
  const latencies: number[] = []
  const begun = performance.now()
  const count = perSecond * seconds
  const waiting: Promise<void>[] = []
  for (let n = 0; n < count;) {
    const due = Math.min(count, Math.floor(((performance.now() - begun) / 1000) * perSecond) + 1)
    for (; n < due; n++) {
      const meant = begun + (n / perSecond) * 1000
      waiting.push(append(n).then(() => void latencies.push(performance.now() - meant)))
    }
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  await Promise.all(waiting)
  return summaryOf(latencies, performance.now() - begun)
}

function summaryOf(latencies: readonly number[], milliseconds: number): Appended {
  const sorted = Float64Array.from(latencies).toSorted()
  const entries = latencies.length
  return {
    entries,
    perSecond: entries / (milliseconds / 1000),
    p50: quantile(sorted, 0.5),
    p99: quantile(sorted, 0.99),
  }
}
