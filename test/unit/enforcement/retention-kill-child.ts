/** Lets entries expire and is killed right after a step. Arguments: root folder, key file, step, bytes of the journal that stay. */

import { createPrivateKey } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { ed25519LogKey, fileDisk } from '@doorward/enforcement'
import type { RecordDisk } from '@doorward/enforcement'
import { logIn, retentionOf } from './record-fixture.ts'

const [root, keyFile, fatal, maxBytes] = process.argv.slice(2) as [string, string, string, string]
const log = logIn(root, ed25519LogKey(createPrivateKey(readFileSync(keyFile))))

const disk: RecordDisk = {
  ...fileDisk,
  async remove(paths) {
    // In the midst of the files: the last one goes, the others stay.
    if (fatal === 'deleting' && paths.length > 1) {
      await fileDisk.remove(paths.slice(-1))
      process.kill(process.pid, 'SIGKILL')
    }
    await fileDisk.remove(paths)
  },
}
const record = await log.open({ disk })
const retention = retentionOf(log, record, {
  rules: { maxMilliseconds: null, maxBytes: Number(maxBytes) },
  onStep: (step) => {
    if (step === fatal) process.kill(process.pid, 'SIGKILL')
  },
})
await retention.turn()
await record.close()
