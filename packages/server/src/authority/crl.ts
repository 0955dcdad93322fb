/** What the revocation list of one anchor says, and when it is signed anew (reference id RV-7). Pure. */

import { backdatingSeconds, epochSeconds } from '@doorward/core'
import type { CrlContents, EpochSeconds, IssuerName, RevokedSerial } from '@doorward/core'
import type { DeniedCertificate } from './ports.ts'

export interface ListedAnchor {
  readonly issuer: IssuerName
  readonly notAfter: EpochSeconds
}

/** The list at hand. */
export interface HeldList {
  readonly number: number
  readonly thisUpdate: EpochSeconds
  readonly nextUpdate: EpochSeconds
  readonly serials: ReadonlySet<string>
}

/** Everything that the anchor has signed and that is refused; a serial that was not issued here may be of any anchor. */
export function revokedUnder(
  keyId: string,
  denied: readonly DeniedCertificate[],
  now: EpochSeconds,
): readonly RevokedSerial[] {
  return denied
    .filter(({ anchorKeyId }) => anchorKeyId === null || anchorKeyId === keyId)
    .map(({ serial, deniedAt }) => ({
      serial,
      revokedAt: epochSeconds(Math.min(deniedAt, now - backdatingSeconds)),
      reason: null,
    }))
}

/** When there is none, when it lists other serials, and when half of its time is over, forwards or backwards. */
export function isListDue(held: HeldList | null, revoked: readonly RevokedSerial[], now: EpochSeconds): boolean {
  if (held === null || now >= (held.thisUpdate + held.nextUpdate) / 2 || now < held.thisUpdate) return true
  return revoked.length !== held.serials.size || !revoked.every(({ serial }) => held.serials.has(serial))
}

/** Numbers rise with time too, so that a store that was put back lowers none. */
export function nextList(
  { issuer, notAfter }: ListedAnchor,
  held: Pick<HeldList, 'number'> | null,
  revoked: readonly RevokedSerial[],
  { now, lifetimeSeconds }: { readonly now: EpochSeconds; readonly lifetimeSeconds: number },
): CrlContents {
  return {
    issuer,
    number: BigInt(Math.max(now, (held?.number ?? 0) + 1)),
    thisUpdate: epochSeconds(now - backdatingSeconds),
    nextUpdate: epochSeconds(Math.min(now + lifetimeSeconds, notAfter)),
    revoked,
  }
}
