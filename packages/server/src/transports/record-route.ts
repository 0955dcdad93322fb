/** `GET /v1/record?from=N&follow=true`: the entries of our own log, one per line, for operators. */

import { deny } from '@doorward/enforcement'
import type { Denial, Permit } from '@doorward/enforcement'
import { followAll, isAbsent, readAll } from '../audit/read.ts'
import type { AbsentEntry, LoggedEntry } from '../audit/read.ts'
import { requestOf } from './api-routes.ts'
import type { ApiAnswer, ApiRequest, ApiRoute } from './api-routes.ts'

export interface RecordRouteOptions {
  /** Folder of the log. */
  readonly recordFolder: string
  /** Aborts when the process stops: followers end. */
  readonly stopping: AbortSignal
}

/**
 * Each line has origin, index, kind, time (ms) and body. `from` is the first index, 0 by default; `follow=true` waits
 * for more. Only entries that a checkpoint covers are shown. One whose payload is gone has kind and body null, `payload`
 * "absent", and `why`.
 */
export function recordRoute(options: RecordRouteOptions): ApiRoute {
  return {
    method: 'GET',
    path: '/v1/record',
    credential: 'token',
    group: 'admin',
    body: 'none',
    query: ['from', 'follow'],
    handle: async (permit) => recordOf(permit, options),
  }
}

function recordOf(permit: Permit<ApiRequest>, { recordFolder, stopping }: RecordRouteOptions): ApiAnswer | Denial {
  const { query } = requestOf(permit)
  const from = query.get('from') ?? '0'
  const follow = query.get('follow') ?? 'false'
  if (!/^\d{1,15}$/.test(from)) return deny('request_invalid', 'expected from to be a whole number')
  if (follow !== 'true' && follow !== 'false') return deny('request_invalid', 'expected follow to be true or false')
  const first = Number(from)
  return {
    kind: 'lines',
    lines: (gone) => {
      const signal = AbortSignal.any([gone, stopping])
      const entries =
        follow === 'true' ? followAll(recordFolder, { from: first, signal }) : readAll(recordFolder, { from: first })
      return linesOf(entries, signal)
    },
  }
}

async function* linesOf(
  entries: AsyncIterable<LoggedEntry | AbsentEntry>,
  signal: AbortSignal,
): AsyncGenerator<string> {
  for await (const found of entries) {
    if (signal.aborted) return
    const { origin, index } = found
    if (isAbsent(found)) {
      const { time, why } = found
      yield JSON.stringify({ origin, index, kind: null, time, body: null, payload: 'absent', why })
    } else {
      const { kind, time, body } = found.entry
      yield JSON.stringify({ origin, index, kind, time, body })
    }
  }
}
