/** Verifies a log on this machine with the verifier key and the second copy that are kept away from it. */

import { DoorwardError, toBase64 } from '@doorward/core'
import { fileCheckpointStore, importEd25519 } from '@doorward/enforcement'
import { sha256 } from '@doorward/sdk'
import { cosignedNotesOf } from '../audit/log-folder.ts'
import { verifyLog } from '../audit/verify.ts'
import type { VerifyOptions } from '../audit/verify.ts'
import { readVerifierKey } from './log-places.ts'
import type { LogPlace } from './log-places.ts'

export interface VerifiedLog {
  readonly origin: string
  readonly entries: number
  readonly unsigned: number
  /** RFC 6962 root over the entries, base64. */
  readonly root: string
  readonly checkpointSize: number
  readonly problems: readonly { readonly code: string; readonly where: string; readonly message: string }[]
}

/** Throws `log_key_missing`, and the codes of `verifyLog`. */
export async function verifyPlace(
  place: LogPlace,
  deploymentCopyDir: string,
  options: Pick<VerifyOptions, 'onProgress' | 'signal'> & { readonly vkey?: string } = {},
): Promise<VerifiedLog> {
  const copyDir = place.copyDir ?? deploymentCopyDir
  const vkey = options.vkey ?? (await readVerifierKey(copyDir, place.origin))
  if (vkey === null) {
    throw new DoorwardError('log_key_missing', 'the verifier key of the log is not kept here', {
      where: copyDir,
      next: 'name it with --key',
    })
  }
  const secondCopy = await fileCheckpointStore(copyDir, place.origin).newest()
  const cosigned = await cosignedNotesOf(place.folder)
  const { folder } = place
  const report = await verifyLog({ ...options, folder, vkey, secondCopy, cosigned, sha256, importEd25519 })
  const { origin, entries, unsigned, checkpointSize, problems } = report
  return { origin, entries, unsigned, checkpointSize, root: toBase64(report.root), problems }
}
