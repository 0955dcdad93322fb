/** Checks what the authority answers to enrolment and renewal: a certificate for our key, our name, under a current anchor. */

import { chainsToAnchor, DoorwardError, fromBase64, toSeconds } from '@doorward/core'
import type { Clock, JsonValue, TrustDomain } from '@doorward/core'
import type { TrustView } from '@doorward/enforcement'
import { importP256 } from './platform/p256.ts'
import type { P256KeyPair } from './platform/p256.ts'
import { svidOf } from './svid.ts'
import type { Svid } from './svid.ts'

export interface IssuedCheck {
  readonly key: P256KeyPair
  readonly trustDomain: TrustDomain
  /** Null accepts the name that the authority gives: a join string that names none. */
  readonly expectedId: string | null
  readonly view: Pick<TrustView, 'anchors'>
  readonly clock: Clock
}

/** The SVID in a base64 certificate. Throws `svid_invalid`. */
export function acceptIssued(certificate: JsonValue | undefined, check: IssuedCheck): Svid {
  const der = typeof certificate === 'string' ? fromBase64(certificate) : null
  if (der === null) throw invalid('a certificate in base64', 'none')
  const svid = svidOf([der], check.key.privateKey, check.trustDomain)
  if (check.expectedId !== null && svid.id.uri !== check.expectedId) throw invalid(check.expectedId, svid.id.uri)
  const anchor = chainsToAnchor(svid.certificate, check.view.anchors, toSeconds(check.clock()), importP256)
  if ('code' in anchor) throw invalid('a certificate under a current anchor', `${anchor.code}: ${anchor.message}`)
  return svid
}

function invalid(expected: string, got: string): DoorwardError {
  return new DoorwardError('svid_invalid', 'the authority sent a certificate that is not the one asked for', {
    expected,
    got,
  })
}
