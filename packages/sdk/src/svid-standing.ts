/** What a trust state means for a certificate that is held. Pure. */

import { backdatingSeconds, chainsToAnchor, pathValidity } from '@doorward/core'
import type { EpochSeconds, ImportP256 } from '@doorward/core'
import type { ServerTrust } from './server-identity.ts'
import type { Svid } from './svid.ts'
import type { VerifiedChains } from './verified-chains.ts'

/**
 * `withdrawn`: it is denied with its serial, identity or authority, is of an earlier epoch, or its anchor is not among the
 * newest that are known: servers refuse it, whatever its times say. `recalled`: it is to be replaced now, and good until then.
 */
export type SvidStanding = 'kept' | 'recalled' | 'withdrawn'

export interface StandingCheck {
  readonly now: EpochSeconds
  readonly importP256: ImportP256
  /** What was verified before of this certificate; nothing is remembered by default. */
  readonly chains?: VerifiedChains
}

export function svidStanding(
  { certificate, id }: Pick<Svid, 'certificate' | 'id'>,
  trust: ServerTrust,
  { now, importP256, chains }: StandingCheck,
): SvidStanding {
  const { trustDomain } = id
  const known = chains?.find(certificate, trustDomain, trust.anchors)
  const anchor =
    known === undefined
      ? chainsToAnchor(certificate, trust.anchors, now, importP256)
      : (pathValidity(certificate, known, now) ?? known)
  if ('code' in anchor) return anchor.code === 'chain_issuer_unknown' ? 'withdrawn' : 'kept'
  if (known === undefined) chains?.remember(certificate, trustDomain, trust.anchors, anchor)
  const { subjectKeyId } = anchor
  const epoch = trust.anchorEpochs.get(subjectKeyId)
  const denied =
    trust.deniedSerials.has(certificate.serial) ||
    trust.deniedAuthorities.has(subjectKeyId) ||
    certificate.notBefore + backdatingSeconds < (trust.deniedIdentities.get(id.uri) ?? 0) ||
    (epoch !== undefined && epoch < trust.state.epoch)
  if (denied) return 'withdrawn'
  return trust.state.anchors.some(({ keyId, reissue }) => reissue && keyId === subjectKeyId) ? 'recalled' : 'kept'
}
