/** Appends until killed; prints "index value" for every acknowledgement. Arguments: root folder, key file, first value, second sink. */

import { createPrivateKey } from 'node:crypto'
import { readFileSync, writeSync } from 'node:fs'
import { ed25519LogKey } from '@doorward/enforcement'
import { logIn } from './record-fixture.ts'

const [root, keyFile, firstValue, secondSink] = process.argv.slice(2) as [string, string, string, string?]
const log = logIn(root, ed25519LogKey(createPrivateKey(readFileSync(keyFile))))
const record = await log.open({ limits: { segmentBytes: 60_000 }, ...(secondSink === undefined ? {} : { secondSink }) })
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
await Promise.all(Array.from({ length: 8 }, writer))
