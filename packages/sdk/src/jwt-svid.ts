/** JWT-SVIDs of the own identity, for those who know SPIFFE and not Doorward. Nothing is kept: each is asked for anew. */

import { DoorwardError, Secret } from '@doorward/core'
import { readJsonBody } from './https-exchange.ts'
import type { AuthorityCallOptions } from './authority-calls.ts'
import type { CallResponse } from './https-exchange.ts'
import { readRefusal, refusalError } from './refusal.ts'

/** As `Identity.callAuthority`. */
type CallAuthority = (path: string, options: AuthorityCallOptions) => Promise<CallResponse>

const LIMIT = 16_384

/**
 * A JWT-SVID for one audience; for a workload of the trust domain, which is named by its SPIFFE ID, it is bound to the
 * certificate that asked. Throws the refusal's code, `audience_unknown` among them, and `token_response_invalid`.
 * Not checked: what the authority gave.
 */
export async function fetchJwtSvid(call: CallAuthority, audience: string, signal?: AbortSignal): Promise<Secret> {
  const response = await call('/v1/jwt-svid', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ audience }),
    ...(signal === undefined ? {} : { signal }),
  })
  if (response.status !== 200) throw refusalError(await readRefusal(response), 'authority')
  const { svid } = await readJsonBody(response, LIMIT)
  if (typeof svid === 'string') return new Secret(svid)
  throw new DoorwardError('token_response_invalid', 'the answer with a JWT-SVID cannot be used', { expected: 'svid' })
}
