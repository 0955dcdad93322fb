/** Logs of this machine: their keys and second copies. Whether every entry holds is for `doorward audit verify`. */

import { lstat, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { CHECKPOINT_FILE, openCheckpoint } from '@doorward/core'
import type { NoteVerifier } from '@doorward/core'
import { fileCheckpointStore } from '@doorward/enforcement'
import { readVerifierKey } from '../log-places.ts'
import type { LogPlace } from '../log-places.ts'
import { verifierOf } from '../prove-log.ts'
import { failure, fine, findingOf, warning } from './finding.ts'
import type { Finding } from './finding.ts'

/** `copyDir`: where second copies and verifier keys lie. */
export async function recordFindings(place: LogPlace, copyDir: string): Promise<readonly Finding[]> {
  const { origin, folder } = place
  try {
    const vkey = await readVerifierKey(copyDir, origin)
    if (vkey === null)
      return [
        failure('record', {
          where: origin,
          message: 'the verifier key of the log is not kept',
          expected: `a .vkey file in ${copyDir}`,
          next: 'start the part once more, or restore the file: without it nothing proves the log',
        }),
      ]
    return [await copiesFinding(place, copyDir, verifierOf(vkey)), ...(await sameDisk(folder, copyDir, origin))]
  } catch (error) {
    return [{ ...findingOf('record', 'failure', error, `doorward audit fsck --log ${place.name}`), where: origin }]
  }
}

async function copiesFinding({ name, origin, folder }: LogPlace, copyDir: string, verifier: NoteVerifier) {
  const second = await fileCheckpointStore(copyDir, origin).newest()
  const own = await readFile(join(folder, CHECKPOINT_FILE), 'utf8').catch(() => null)
  if (second === null)
    return failure('record', {
      where: origin,
      message: 'there is no second copy of its checkpoint',
      next: 'start the part once more; a log that was cut off would not be noticed',
    })
  const secondSize = openCheckpoint(second, verifier).size
  const ownSize = own === null ? 0 : openCheckpoint(own, verifier).size
  // The second copy is written first: it may be ahead of the log by a checkpoint that is on its way, and by no more.
  if (own === null || ownSize < secondSize)
    return warning('record', {
      where: origin,
      message: 'the second copy has seen more of the log than its folder has',
      expected: `${secondSize} entries`,
      got: `${ownSize}`,
      next: `doorward audit verify --log ${name}`,
    })
  return fine('record', `${ownSize} entries under a checkpoint, ${secondSize} in the second copy`, { where: origin })
}

/** Who takes a disk takes what is on it. */
async function sameDisk(folder: string, copyDir: string, origin: string): Promise<readonly Finding[]> {
  const [log, copy] = await Promise.all([stat(folder), lstat(copyDir)])
  if (log.dev !== copy.dev) return []
  return [
    warning('record_copy', {
      where: origin,
      message: 'log and second copy of its checkpoint are on one disk: who takes it takes both',
      next: 'name a folder on another one as audit.checkpoint_dir',
    }),
  ]
}
