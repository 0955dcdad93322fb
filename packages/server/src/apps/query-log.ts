/** Looking for entries in the logs of this machine. Each log has an index of its own beside it, in its writer's state. */

import { existsSync } from 'node:fs'
import { DoorwardError } from '@doorward/core'
import { sha256 } from '@doorward/sdk'
import { queryLogs } from '../audit/query.ts'
import type { QueryHit, QueryOptions } from '../audit/query.ts'
import { indexFolderOf } from './log-redaction.ts'
import type { LogPlace } from './log-places.ts'
import { readVerifierKey } from './log-places.ts'
import { verifierOf } from './prove-log.ts'

export type { QueryHit } from '../audit/query.ts'
export { everyEntry } from '../audit/query-filter.ts'
export type { QueryFilter } from '../audit/query-filter.ts'

export interface LogQuery extends QueryOptions {
  /** Told while an index is brought up to date. */
  readonly onProgress: (progress: {
    readonly origin: string
    readonly entries: number
    readonly expected: number
  }) => void
}

/** The newest hits first. Throws `log_not_found`, `log_key_missing`, and the codes of `queryLogs`. */
export async function* queryPlaces(
  places: readonly LogPlace[],
  copyDir: string,
  { onProgress, ...options }: LogQuery,
): AsyncGenerator<QueryHit> {
  const there = places.filter(({ folder }) => existsSync(folder))
  if (there.length === 0) {
    const where = places.map(({ folder }) => folder).join(', ')
    throw new DoorwardError('log_not_found', 'there is no log here', { where })
  }
  const logs = there.map(async ({ origin, folder }) => {
    const vkey = await keptKey(copyDir, origin)
    const progress = (made: { readonly entries: number; readonly expected: number }) => onProgress({ origin, ...made })
    const indexFolder = indexFolderOf(folder)
    return { origin, folder, indexFolder, vkey, verifier: verifierOf(vkey), sha256, onProgress: progress }
  })
  yield* queryLogs(await Promise.all(logs), options)
}

async function keptKey(copyDir: string, origin: string): Promise<string> {
  const vkey = await readVerifierKey(copyDir, origin)
  if (vkey !== null) return vkey
  throw new DoorwardError('log_key_missing', 'the verifier key of the log is not kept here', {
    where: copyDir,
    got: `none of ${origin}`,
  })
}
