/** One renewal: a new key, proven over the connection that the certificate held has opened. */

import { DoorwardError, toBase64url, utf8 } from '@doorward/core'
import type { Clock, JsonValue, Secret } from '@doorward/core'
import type { AuthorityCalls } from './authority-calls.ts'
import { readJsonBody, withinAnswerTime } from './https-exchange.ts'
import type { IdentityDescription } from './identity-folder.ts'
import { acceptIssued } from './issued-certificate.ts'
import { generateP256 } from './platform/p256.ts'
import { readRefusal, refusalError } from './refusal.ts'
import type { Svid } from './svid.ts'
import type { TrustStore } from './trust-store.ts'

export interface RenewalRequest {
  readonly authority: AuthorityCalls
  readonly description: IdentityDescription
  readonly trust: Pick<TrustStore, 'view'>
  readonly clock: Clock
  /** The join state of the certificate held; null when there is none. */
  readonly shown: Secret | null
  readonly signal: AbortSignal | undefined
}

const renewExporter = 'EXPORTER-doorward-renew'

/** Throws `trust_state_expired`, `svid_invalid`, and the codes of `AuthorityCalls.call` and of refusals. */
export async function requestRenewal(
  asking: RenewalRequest,
): Promise<{ readonly svid: Svid; readonly joinState: JsonValue | undefined }> {
  const { authority, description, trust, clock, shown, signal } = asking
  const key = await generateP256()
  const { response, place } = await authority.call('/v1/renew', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: async (exporter) => {
      const proof = toBase64url(await key.signKey.sign(exporter(renewExporter)))
      const state = shown === null ? {} : { join_state: shown.reveal() }
      return utf8(JSON.stringify({ public_key: toBase64url(key.spki), proof, ...state }))
    },
    signal: withinAnswerTime(signal),
  })
  if (response.status !== 200) throw refusalError(await readRefusal(response), place.main)
  const { certificate, join_state: joinState } = await readJsonBody(response, 65_536)
  const view = trust.view()
  if (view === null)
    throw new DoorwardError('trust_state_expired', 'no current trust state to judge the new certificate by', {
      where: place.main,
    })
  const { trustDomain, id } = description
  return { svid: acceptIssued(certificate, { key, trustDomain, expectedId: id.uri, view, clock }), joinState }
}
