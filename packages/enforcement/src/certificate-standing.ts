/**
 * What one connection's certificate is worth under one trust view.
 *
 * Chain and profile are judged once per set of anchors and keys; expiry, denials and the issuance mirror on every
 * request, because a connection outlives all of them (reference TR-1, RV-4).
 */

import { chainsToAnchor, checkSvidLeaf, toSeconds } from '@doorward/core'
import type { EpochMillis, AccessTokenClaims, ImportP256, PeerCertificate, Principal, SpiffeId } from '@doorward/core'
import { deny } from './denial.ts'
import type { Denial } from './denial.ts'
import type { TrustView } from './ports.ts'
import { certificateWithdrawal } from './withdrawal.ts'
import type { PresentedToken } from './withdrawal.ts'

/** A verified leaf: its identity is certain. */
export interface VerifiedLeaf {
  readonly certificate: PeerCertificate
  readonly id: SpiffeId
}

/** A token whose signature and claims held when first seen; its times and denials are checked on every request. */
export interface AcceptedToken {
  readonly claims: AccessTokenClaims
  readonly token: PresentedToken
  readonly principal: Principal
  /** The trust generation from which the principal's roles are. */
  readonly generation: number
}

const MAX_TOKENS = 8

export class CertificateStanding {
  /** Somebody has been identified by a request of this connection. */
  identified = false
  #generation = -1
  #judged: VerifiedLeaf | Denial | null = null
  readonly #tokens = new Map<string, AcceptedToken>()

  /** Judges chain and profile, once per set of anchors and keys. */
  judge(
    certificate: PeerCertificate | null,
    view: TrustView,
    now: EpochMillis,
    importP256: ImportP256,
  ): VerifiedLeaf | Denial {
    if (this.#judged === null || this.#generation !== view.keyGeneration) {
      this.#generation = view.keyGeneration
      this.#tokens.clear()
      this.#judged = judgeLeaf(certificate, view, now, importP256)
    }
    return this.#judged
  }

  /** A token already accepted on this connection under the same keys, keyed by its full text and audience. */
  remembered(token: string): AcceptedToken | undefined {
    return this.#tokens.get(token)
  }

  remember(token: string, accepted: AcceptedToken): void {
    if (this.#tokens.size >= MAX_TOKENS) this.#tokens.delete(this.#tokens.keys().next().value as string)
    this.#tokens.set(token, accepted)
  }
}

function judgeLeaf(
  certificate: PeerCertificate | null,
  view: TrustView,
  now: EpochMillis,
  importP256: ImportP256,
): VerifiedLeaf | Denial {
  if (certificate === null) return deny('certificate_missing', 'no certificate that parses was presented')
  const problem = checkSvidLeaf(certificate, view.state.trustDomain)
  if (problem !== null) return deny('certificate_profile', `${problem.code}: ${problem.message}`)
  const id = certificate.spiffeId
  if (id === null) return deny('certificate_profile', 'the certificate has no SPIFFE ID')
  const anchor = chainsToAnchor(certificate, view.anchors, toSeconds(now), importP256)
  return 'code' in anchor ? chainDenial(anchor.code, certificate, view) : { certificate, id }
}

/** A denied anchor has left the list. That the certificate names it is all that is known, so nobody is named here. */
function chainDenial(code: string, { authorityKeyId }: PeerCertificate, view: TrustView): Denial {
  if (authorityKeyId !== null && view.deniedAuthorities.has(authorityKeyId))
    return deny('certificate_denied', `signing authority ${authorityKeyId} is denied`)
  switch (code) {
    case 'certificate_expired':
      return deny('certificate_expired', 'the certificate is past its notAfter')
    case 'certificate_not_yet_valid':
      return deny('certificate_not_yet_valid', 'the certificate is before its notBefore')
    default:
      return deny('certificate_untrusted', `the certificate does not chain to a current anchor: ${code}`)
  }
}

/** The checks that every request repeats: validity, denials and the issuance mirror. Null when all hold. */
export function standingProblem(leaf: VerifiedLeaf, view: TrustView, now: EpochMillis): Denial | null {
  const { certificate, id } = leaf
  const seconds = toSeconds(now)
  const caller = {
    id: id.uri,
    certificateFingerprint: certificate.fingerprint,
    certificateSerial: certificate.serial,
  }
  if (seconds >= certificate.notAfter)
    return deny('certificate_expired', `notAfter was ${certificate.notAfter}`, { caller })
  if (seconds < certificate.notBefore)
    return deny('certificate_not_yet_valid', `notBefore is ${certificate.notBefore}`, { caller })
  return certificateWithdrawal(certificate, id.uri, view)
}
