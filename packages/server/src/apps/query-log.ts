/** Looking for entries in the logs of this machine. Each log has an index of its own beside it, in its writer's state. */

import { existsSync } from 'node:fs'
import { DoorwardError } from '@doorward/core'
import type { EntryEnvelope } from '@doorward/core'
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
  /** Only what says by name that this secret was used or changed; everything by default. No index has it: each hit is looked at. */
  readonly secret?: string | undefined
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
  { onProgress, secret, ...options }: LogQuery,
): AsyncGenerator<QueryHit> {
  const there = places.filter(({ folder }) => existsSync(folder))
  if (there.length === 0) {
    const where = places.map(({ folder }) => folder).join(', ')
    throw new DoorwardError('log_not_found', 'there is no log here', { where })
  }
  const logs = there.map(async ({ origin, folder, copyDir: own = copyDir }) => {
    const vkey = await keptKey(own, origin)
    const progress = (made: { readonly entries: number; readonly expected: number }) => onProgress({ origin, ...made })
    const indexFolder = indexFolderOf(folder)
    return { origin, folder, indexFolder, vkey, verifier: verifierOf(vkey), sha256, onProgress: progress }
  })
  const opened = await Promise.all(logs)
  if (secret === undefined) {
    yield* queryLogs(opened, options)
    return
  }
  let left = options.limit
  for await (const hit of queryLogs(opened, { ...options, limit: Number.MAX_SAFE_INTEGER })) {
    if (!namesSecret(hit, secret)) continue
    yield hit
    if (--left === 0) return
  }
}

function namesSecret({ content, outcome }: QueryHit, secret: string): boolean {
  return [content, outcome?.content].some(
    (one) => one !== undefined && one.state !== 'absent' && says(one.entry, secret),
  )
}

/** A change or a use of the gateway's own says `secret`; an outcome has what its call was sent with. */
function says({ body }: EntryEnvelope, secret: string): boolean {
  const { credentials } = body
  const used: readonly unknown[] = Array.isArray(credentials) ? credentials : []
  return [body, ...used].some((one) => typeof one === 'object' && one !== null && Reflect.get(one, 'secret') === secret)
}

async function keptKey(copyDir: string, origin: string): Promise<string> {
  const vkey = await readVerifierKey(copyDir, origin)
  if (vkey !== null) return vkey
  throw new DoorwardError('log_key_missing', 'the verifier key of the log is not kept here', {
    where: copyDir,
    got: `none of ${origin}`,
  })
}
