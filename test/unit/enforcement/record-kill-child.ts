/**
 * Appends until killed, and meanwhile redacts entries and lets the oldest expire; prints "index value" for every
 * acknowledgement. Arguments: root folder, key file, first value, second sink.
 */

import { createPrivateKey } from 'node:crypto'
import { readFileSync, writeSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { isDoorwardError } from '@doorward/core'
import { ed25519LogKey } from '@doorward/enforcement'
import { logIn, redactionOf, retentionOf } from './record-fixture.ts'

const [root, keyFile, firstValue, secondSink] = process.argv.slice(2) as [string, string, string, string?]
const log = logIn(root, ed25519LogKey(createPrivateKey(readFileSync(keyFile))))
const record = await log.open({ limits: { segmentBytes: 60_000 }, ...(secondSink === undefined ? {} : { secondSink }) })
const redaction = redactionOf(log, record)
await redaction.resume()
const retention = retentionOf(log, record, { rules: { maxMilliseconds: null, maxBytes: 300_000 } })
let value = Number(firstValue)
writeSync(1, 'ready\n')

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

async function writer(): Promise<never> {
  for (;;) {
    const mine = value++
    const { index } = await record.append({ kind: 'decision', body: { n: mine } })
    tell(`${index} ${mine}\n`)
  }
}
/** What is gone already, or not signed yet, is told and left. */
async function redactor(): Promise<never> {
  for (;;) {
    await sleep(40)
    const { checkpointSize } = record.stats()
    if (checkpointSize < 7) continue
    try {
      await redaction.redact({ index: checkpointSize - 7, reason: 'a test', by: 'me' })
    } catch (error) {
      if (!isDoorwardError(error, 'payload_absent') && !isDoorwardError(error, 'entry_protected')) throw error
    }
  }
}

/** A sink keeps what expires from the log: then the two would not be the same. */
async function expirer(): Promise<never> {
  for (;;) {
    await sleep(60)
    await retention.turn()
  }
}
await Promise.all([...Array.from({ length: 8 }, writer), redactor(), ...(secondSink === undefined ? [expirer()] : [])])
