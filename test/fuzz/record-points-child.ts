/**
 * Writes and lets expire until it dies at a point of the record's disk, or has let expire so often that it reaches none:
 * `record-points-child.ts ROOT KEY FIRST PLAN`. Prints how many milliseconds the log took to open, then `index value` for every
 * acknowledgement; the point on standard error.
 */

import { createPrivateKey } from 'node:crypto'
import { readFileSync, writeSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { ed25519LogKey, fileCheckpointStore } from '@doorward/enforcement'
import { logIn, ORIGIN, retentionOf } from '../unit/enforcement/record-fixture.ts'
import { pointedDisk, pointedStore } from './record-points.ts'
import type { RecordPoint } from './record-points.ts'

/** Dies when so many of the points have been reached, any of them. */
export interface PointPlan {
  readonly points: readonly RecordPoint[]
  readonly count: number
  /** Bytes of the journal that stay. */
  readonly maxBytes: number
  /** So often it lets expire. Work and not time: a machine that has much to do takes longer for as much. */
  readonly turns: number
}

const SEGMENT_BYTES = 60_000
const RETENTION_MILLISECONDS = 40
const [root = '', keyFile = '', firstValue, planText = ''] = process.argv.slice(2)
const { points, count, maxBytes, turns } = JSON.parse(planText) as PointPlan
const fatal = new Set(points)
let left = count

function at(point: RecordPoint): void {
  if (!fatal.has(point) || --left > 0) return
  writeSync(2, point)
  process.kill(process.pid, 'SIGKILL')
}

const begun = performance.now()
const log = logIn(root, ed25519LogKey(createPrivateKey(readFileSync(keyFile))))
const checkpointStore = pointedStore(fileCheckpointStore(log.copy, ORIGIN), at)
const limits = { segmentBytes: SEGMENT_BYTES, reserveBytes: 0 }
const record = await log.open({ disk: pointedDisk(at), checkpointStore, limits })
tell(`${performance.now() - begun}\n`)
let value = Number(firstValue)
await Promise.all([expire(), ...Array.from({ length: 2 }, write)])

async function write(): Promise<never> {
  for (;;) {
    const mine = value++
    const { index } = await record.append({ kind: 'decision', body: { n: mine } })
    tell(`${index} ${mine}\n`)
  }
}

async function expire(): Promise<never> {
  const retention = retentionOf(log, record, { rules: { maxMilliseconds: null, maxBytes } })
  for (let turn = 0; ; turn++) {
    await retention.turn()
    if (turn >= turns) process.kill(process.pid, 'SIGKILL')
    await sleep(RETENTION_MILLISECONDS)
  }
}

/** Synchronous: a line that is out was acknowledged, and one that was acknowledged long enough is out. */
function tell(line: string): void {
  for (;;) {
    try {
      return void writeSync(1, line)
    } catch (error) {
      // The reader is behind.
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error
    }
  }
}
