/** Whether the other end of a connection is the server that was asked for. Pure; the mirror of what a gateway asks of a client. */

import { backdatingSeconds, chainsToAnchor, checkSvidLeaf, readCertificate } from '@doorward/core'
import type {
  EpochSeconds,
  ImportP256,
  PeerCertificate,
  Sha256,
  SpiffeId,
  TrustAnchors,
  TrustState,
} from '@doorward/core'
import type { TrustView } from '@doorward/enforcement'

export interface ServerProblem {
  /** `server_profile`, `server_untrusted`, `server_expired`, `server_identity`, `server_revoked` or `server_not_issued`. */
  readonly code: string
  readonly message: string
}

/** What of a trust state a server is judged by. */
export type ServerTrust = Pick<
  TrustView,
  'anchors' | 'anchorEpochs' | 'issued' | 'deniedIdentities' | 'deniedSerials' | 'deniedAuthorities'
> & { readonly state: Pick<TrustState, 'epoch' | 'anchors'> }

export interface ServerCheck {
  readonly expected: SpiffeId
  readonly trust: ServerTrust
  readonly now: EpochSeconds
  readonly importP256: ImportP256
  /** `skip` where the state at hand may be older than the certificate: towards the authority that brings the next one. */
  readonly mirror: 'require' | 'skip'
}

/** Trust by anchors, with the denials that are known beside them; the issuance mirror is empty. */
export function anchorsAlone(
  { epoch, anchors }: Pick<TrustAnchors, 'epoch' | 'anchors'>,
  sha256: Sha256,
  known?: ServerTrust | null,
): ServerTrust {
  return {
    state: { epoch, anchors },
    anchorEpochs: new Map(anchors.map(({ keyId, epoch: of }) => [keyId, of])),
    anchors: anchors.flatMap(({ certificate }) => {
      const anchor = readCertificate(certificate, { sha256 })
      return 'problem' in anchor ? [] : [anchor]
    }),
    issued: new Map(),
    deniedIdentities: known?.deniedIdentities ?? new Map<string, number>(),
    deniedSerials: known?.deniedSerials ?? new Set<string>(),
    deniedAuthorities: known?.deniedAuthorities ?? new Set<string>(),
  }
}

/** Null when the certificate is the expected server's: profile, chain, validity, SPIFFE ID, denials, epoch, issuance mirror. */
export function serverProblem(certificate: PeerCertificate, check: ServerCheck): ServerProblem | null {
  const profile = checkSvidLeaf(certificate, check.expected.trustDomain)
  if (profile !== null) return problem('server_profile', `not an SVID: ${profile.code}, ${profile.message}`)
  const anchor = chainsToAnchor(certificate, check.trust.anchors, check.now, check.importP256)
  if ('code' in anchor) {
    const expired = anchor.code === 'certificate_expired' || anchor.code === 'certificate_not_yet_valid'
    return problem(expired ? 'server_expired' : 'server_untrusted', `${anchor.code}: ${anchor.message}`)
  }
  if (certificate.spiffeId?.uri !== check.expected.uri) {
    return problem(
      'server_identity',
      `expected ${check.expected.uri}, got ${certificate.spiffeId?.uri ?? 'no SPIFFE ID'}`,
    )
  }
  return denied(certificate, anchor.subjectKeyId, check) ?? mirrored(certificate, check)
}

function denied(
  certificate: PeerCertificate,
  anchorKeyId: string,
  { trust, expected }: ServerCheck,
): ServerProblem | null {
  if (trust.deniedSerials.has(certificate.serial))
    return problem('server_revoked', `serial ${certificate.serial} is denied`)
  if (trust.deniedAuthorities.has(anchorKeyId))
    return problem('server_revoked', `signing authority ${anchorKeyId} is denied`)
  const epoch = trust.anchorEpochs.get(anchorKeyId)
  if (epoch !== undefined && epoch < trust.state.epoch)
    return problem(
      'server_revoked',
      `signing authority ${anchorKeyId} is of epoch ${epoch}, now is ${trust.state.epoch}`,
    )
  const before = trust.deniedIdentities.get(expected.uri)
  if (before !== undefined && certificate.notBefore + backdatingSeconds < before) {
    return problem('server_revoked', `certificates of ${expected.uri} issued before ${before} are denied`)
  }
  return null
}

function mirrored({ fingerprint }: PeerCertificate, { trust, expected, mirror }: ServerCheck): ServerProblem | null {
  if (mirror === 'skip' || trust.issued.get(fingerprint)?.id === expected.uri) return null
  return problem('server_not_issued', `fingerprint ${fingerprint} is not in the issuance mirror`)
}

function problem(code: string, message: string): ServerProblem {
  return { code, message }
}
