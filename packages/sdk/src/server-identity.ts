/** Whether the other end of a connection is the server that was asked for. Pure; the mirror of what a gateway asks of a client. */

import { backdatingSeconds, chainsToAnchor, checkSvidLeaf } from '@doorward/core'
import type { EpochSeconds, ImportP256, PeerCertificate, SpiffeId } from '@doorward/core'
import type { TrustView } from '@doorward/enforcement'

export interface ServerProblem {
  /** `server_profile`, `server_untrusted`, `server_expired`, `server_identity`, `server_revoked` or `server_not_issued`. */
  readonly code: string
  readonly message: string
}

export interface ServerCheck {
  readonly expected: SpiffeId
  readonly view: TrustView
  readonly now: EpochSeconds
  readonly importP256: ImportP256
  /** `skip` where the state at hand may be older than the certificate: towards the authority that brings the next one. */
  readonly mirror: 'require' | 'skip'
}

/** Null when the certificate is the expected server's: profile, chain, validity, SPIFFE ID, denials, issuance mirror. */
export function serverProblem(certificate: PeerCertificate, check: ServerCheck): ServerProblem | null {
  const profile = checkSvidLeaf(certificate, check.expected.trustDomain)
  if (profile !== null) return problem('server_profile', `not an SVID: ${profile.code}, ${profile.message}`)
  const anchor = chainsToAnchor(certificate, check.view.anchors, check.now, check.importP256)
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
  { view, expected }: ServerCheck,
): ServerProblem | null {
  if (view.deniedSerials.has(certificate.serial))
    return problem('server_revoked', `serial ${certificate.serial} is denied`)
  if (view.deniedAuthorities.has(anchorKeyId))
    return problem('server_revoked', `signing authority ${anchorKeyId} is denied`)
  const before = view.deniedIdentities.get(expected.uri)
  if (before !== undefined && certificate.notBefore + backdatingSeconds < before) {
    return problem('server_revoked', `certificates of ${expected.uri} issued before ${before} are denied`)
  }
  return null
}

function mirrored({ fingerprint }: PeerCertificate, { view, expected, mirror }: ServerCheck): ServerProblem | null {
  if (mirror === 'skip' || view.issued.get(fingerprint)?.id === expected.uri) return null
  return problem('server_not_issued', `fingerprint ${fingerprint} is not in the issuance mirror`)
}

function problem(code: string, message: string): ServerProblem {
  return { code, message }
}
