/** The gateway's admin API: its record and its status, for operators. */

import { deny } from '@doorward/enforcement'
import type { Denial, Permit } from '@doorward/enforcement'
import { followEntries, readEntries } from '../audit/read.ts'
import type { LoggedEntry } from '../audit/read.ts'
import { requestOf } from './api-routes.ts'
import type { ApiAnswer, ApiRequest, ApiRoute } from './api-routes.ts'

export interface GatewayApiOptions {
  /** Folder of the gateway's log. */
  readonly recordFolder: string
  /** Values that JSON can hold, without secrets. */
  readonly status: () => object
  /** Aborts when the gateway stops: followers end. */
  readonly stopping: AbortSignal
}

const token = { credential: 'token', group: 'admin', body: 'none' } as const

/** `GET /v1/status` and `GET /v1/record?from=N&follow=true`, one entry per line: origin, index, kind, time (ms), body. */
export function gatewayRoutes(options: GatewayApiOptions): readonly ApiRoute[] {
  return [
    {
      ...token,
      method: 'GET',
      path: '/v1/status',
      handle: async () => ({ kind: 'json', status: 200, value: options.status() }),
    },
    {
      ...token,
      method: 'GET',
      path: '/v1/record',
      query: ['from', 'follow'],
      handle: async (permit) => recordOf(permit, options),
    },
  ]
}

function recordOf(permit: Permit<ApiRequest>, { recordFolder, stopping }: GatewayApiOptions): ApiAnswer | Denial {
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
        follow === 'true'
          ? followEntries(recordFolder, { from: first, signal })
          : readEntries(recordFolder, { from: first })
      return linesOf(entries, signal)
    },
  }
}

async function* linesOf(entries: AsyncIterable<LoggedEntry>, signal: AbortSignal): AsyncGenerator<string> {
  for await (const { origin, index, entry } of entries) {
    if (signal.aborted) return
    const { kind, time, body } = entry
    yield JSON.stringify({ origin, index, kind, time, body })
  }
}
