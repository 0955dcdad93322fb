/** Whether the other end of a connection is the server that was asked for. Pure; the mirror of what a gateway asks of a client. */

import { backdatingSeconds, chainsToAnchor, checkSvidLeaf, pathValidity, readCertificate } from '@doorward/core'
import type {
  AnchorCertificate,
  ChainProblem,
  EpochSeconds,
  ImportP256,
  PeerCertificate,
  Sha256,
  SpiffeId,
  TrustAnchors,
  TrustState,
} from '@doorward/core'
import type { TrustView } from '@doorward/enforcement'
import type { VerifiedChains } from './verified-chains.ts'

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
  /** Of earlier checks by the same keys: what is in it is not verified again, and what holds goes in. */
  readonly chains?: VerifiedChains
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
  const anchor = anchorOf(certificate, check)
  if ('code' in anchor) return anchor
  if (certificate.spiffeId?.uri !== check.expected.uri) {
    return problem(
      'server_identity',
      `expected ${check.expected.uri}, got ${certificate.spiffeId?.uri ?? 'no SPIFFE ID'}`,
    )
  }
  return denied(certificate, anchor.subjectKeyId, check) ?? mirrored(certificate, check)
}

/** The anchor of an SVID. That a chain was verified before says nothing of its times. */
function anchorOf(certificate: PeerCertificate, check: ServerCheck): AnchorCertificate | ServerProblem {
  const { chains, now, importP256 } = check
  const { trustDomain } = check.expected
  const { anchors } = check.trust
  const known = chains?.find(certificate, trustDomain, anchors)
  if (known !== undefined) {
    const outside = pathValidity(certificate, known, now)
    return outside === null ? known : chainProblem(outside)
  }
  const profile = checkSvidLeaf(certificate, trustDomain)
  if (profile !== null) return problem('server_profile', `not an SVID: ${profile.code}, ${profile.message}`)
  const anchor = chainsToAnchor(certificate, anchors, now, importP256)
  if ('code' in anchor) return chainProblem(anchor)
  chains?.remember(certificate, trustDomain, anchors, anchor)
  return anchor
}

function chainProblem({ code, message }: ChainProblem): ServerProblem {
  const expired = code === 'certificate_expired' || code === 'certificate_not_yet_valid'
  return problem(expired ? 'server_expired' : 'server_untrusted', `${code}: ${message}`)
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
