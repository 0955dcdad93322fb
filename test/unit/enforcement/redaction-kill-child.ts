/** Redacts an entry and is killed right after a step, or in the midst of the frame. Arguments: root folder, key file, step, index. */

import { createPrivateKey } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { ed25519LogKey, fileDisk } from '@doorward/enforcement'
import type { RecordDisk } from '@doorward/enforcement'
import { logIn, redactionOf } from './record-fixture.ts'

const [root, keyFile, fatal, index] = process.argv.slice(2) as [string, string, string, string]
const log = logIn(root, ed25519LogKey(createPrivateKey(readFileSync(keyFile))))

const disk: RecordDisk = {
  ...fileDisk,
  async overwrite(path, position, bytes) {
    if (fatal === 'overwriting') {
      await fileDisk.overwrite(path, position, bytes.subarray(0, bytes.length >> 1))
      process.kill(process.pid, 'SIGKILL')
    }
    await fileDisk.overwrite(path, position, bytes)
  },
}
const record = await log.open({ disk })
const redaction = redactionOf(log, record, {
  onStep: (step) => {
    if (step === fatal) process.kill(process.pid, 'SIGKILL')
  },
})
await redaction.redact({ index: Number(index), reason: 'a test', by: 'spiffe://acme.example/operator/admin' })
await record.close()
