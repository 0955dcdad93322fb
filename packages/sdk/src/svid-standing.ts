/** What a trust state means for a certificate that is held. Pure. */

import { backdatingSeconds, chainsToAnchor } from '@doorward/core'
import type { EpochSeconds, ImportP256 } from '@doorward/core'
import type { ServerTrust } from './server-identity.ts'
import type { Svid } from './svid.ts'

/**
 * `withdrawn`: it is denied with its serial, identity or authority, is of an earlier epoch, or its anchor is not among the
 * newest that are known: servers refuse it, whatever its times say. `recalled`: it is to be replaced now, and good until then.
 */
export type SvidStanding = 'kept' | 'recalled' | 'withdrawn'

export function svidStanding(
  { certificate, id }: Pick<Svid, 'certificate' | 'id'>,
  trust: ServerTrust,
  { now, importP256 }: { readonly now: EpochSeconds; readonly importP256: ImportP256 },
): SvidStanding {
  const anchor = chainsToAnchor(certificate, trust.anchors, now, importP256)
  if ('code' in anchor) return anchor.code === 'chain_issuer_unknown' ? 'withdrawn' : 'kept'
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
