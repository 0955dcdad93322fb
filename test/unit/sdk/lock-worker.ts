/** Takes the lock a few times and fails when somebody else is inside. */

import { rm, writeFile } from 'node:fs/promises'
import { systemProcesses, systemRuntime, underLock } from '@doorward/sdk'

const path = process.argv[2] ?? ''
for (let i = 0; i < 10; i++) {
  await underLock(
    { path, runtime: systemRuntime, processes: systemProcesses(), waitMilliseconds: 60_000 },
    async () => {
      await writeFile(`${path}.inside`, '', { flag: 'wx' })
      await systemRuntime.sleep(2)
      await rm(`${path}.inside`)
    },
  )
}
process.disconnect?.()
