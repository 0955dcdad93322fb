/**
 * Writes generation 1, then replaces or withdraws it and dies right before one of the effects of that on the disk:
 * `node credential-crash-worker.ts FOLDER write|withdraw NUMBER`. Ends with 3 when there is no such effect.
 */

import { randomBytes } from '@doorward/sdk'
import { CredentialFolder, diskEffects } from '../../../packages/server/src/apps/credential-folder.ts'
import { countedEffects, filesOf, names } from './credential-effects.ts'

const [path = '', change = '', number = ''] = process.argv.slice(2)

function die(): void {
  process.kill(process.pid, 'SIGKILL')
  // The signal is delivered at once, but the type checker cannot know.
  for (;;);
}

const first = await CredentialFolder.open({ path, names, random: randomBytes })
await first.write(filesOf(1))
first.release()

const effects = countedEffects(diskEffects, {
  before: (count) => (count === Number(number) ? die() : undefined),
})
const folder = await CredentialFolder.open({ path, names, random: randomBytes, effects })
if (change === 'write') await folder.write(filesOf(2))
else await folder.withdraw(new Map([['status', new TextEncoder().encode('0')]]))
process.exit(3)
