/**
 * What a trust state has against credentials that were good when they were shown (reference ids RV-4 … RV-6). Validity in
 * time is not asked again: an answer that began in time may end after it, a denied one may not.
 */

import {
  backdatingSeconds,
  epochSeconds,
  heldLinks,
  linkKeyWithdrawal,
  linkWithdrawal,
  userClaim,
  userName,
} from '@doorward/core'
import type { AccessTokenClaims, EpochSeconds, PeerCertificate, Principal } from '@doorward/core'
import { deny } from './denial.ts'
import type { Denial, DenialCode } from './denial.ts'
import type { TrustView } from './ports.ts'

/** What can be held against a token later on. */
export interface PresentedToken {
  readonly id: string
  /** `kid` of the key that signed it; null for a token of another issuer, whose keys and epochs are not ours. */
  readonly keyId: string | null
  readonly epoch: number | null
  /** When it was made: what was issued to a user before a denial ends with it. */
  readonly issuedAt?: EpochSeconds
}

/** What a caller has shown. */
export interface ShownCredentials {
  readonly inbound: { readonly connection: { readonly certificate: PeerCertificate | null } }
  readonly principal: Principal
  /** Null where the certificate alone was asked for. */
  readonly token: PresentedToken | null
}

/** Null when nothing of the call's certificate and token is denied, of an earlier epoch, or of an identity that is gone. */
export function withdrawal(shown: ShownCredentials, view: TrustView): Denial | null {
  return personalWithdrawal(shown, view) ?? keyWithdrawal(shown, view)
}

/**
 * What is held against this caller: its serial, its token, its identity. It ends what the caller has begun, whereas
 * replaced keys of an authority only ask for new credentials.
 */
export function personalWithdrawal({ inbound, principal, token }: ShownCredentials, view: TrustView): Denial | null {
  const { certificate } = inbound.connection
  const against = (code: DenialCode, explanation: string) => deny(code, explanation, { caller: principal })
  if (certificate !== null) {
    const denied = certificatePersonally(certificate, principal.presenter.uri, view)
    if (denied !== null) return { ...denied, caller: principal }
  }
  if (token !== null && view.deniedTokens.has(token.id)) return against('token_denied', `token ${token.id} is denied`)
  const link = linkWithdrawal(principal.chain ?? [], linkDenials(view))
  if (link !== null) return against('chain_denied', link)
  const atEdge = token !== null && certificate === null
  const skew = token?.keyId === null ? ISSUER_SKEW : 0
  // The person was there when the chain began.
  const made = principal.chain?.at(-1)?.iat ?? token?.issuedAt ?? 0
  const issuedAt = epochSeconds(Math.max(0, made - skew))
  const problem =
    userWithdrawal(principal, issuedAt, view) ?? (atEdge ? clientWithdrawal(principal, issuedAt, view) : null)
  return problem === null ? null : against('identity_denied', problem)
}

/**
 * What is held against a token of ours by itself, whoever shows it: that it is denied, or whom it is of, or one of those from
 * which it was made, or a key that signed those. Of claims in which `verifyToken` finds nothing; null when nothing is.
 */
export function tokenWithdrawal(claims: AccessTokenClaims, view: TrustView): Denial | null {
  if (view.deniedTokens.has(claims.jti)) return deny('token_denied', `token ${claims.jti} is denied`)
  const issuedBefore = view.deniedIdentities.get(claims.sub)
  const links = claims.act === undefined ? [] : heldLinks(claims)
  // The certificate of a workload is denied with it; of a person there is the token alone, which is dated by the second: the
  // one of the sign-in, however young what was made of it.
  const made = claims[userClaim] === undefined ? claims.iat + backdatingSeconds : (links.at(-1)?.iat ?? claims.iat)
  if (issuedBefore !== undefined && made < issuedBefore)
    return deny('identity_denied', `credentials issued before ${issuedBefore} are denied`)
  const link = linkWithdrawal(links, linkDenials(view)) ?? linkKeyWithdrawal(links, view)
  return link === null ? null : deny('chain_denied', link)
}

function linkDenials(view: TrustView) {
  const { deniedIdentities, deniedSerials, deniedTokens, deniedAuthorities, roles } = view
  const isRegistered = (id: string) => roles.has(id)
  return { deniedIdentities, deniedSerials, deniedTokens, deniedAuthorities, isRegistered }
}

/** What is held against the person on whose behalf somebody calls. Tokens are dated by the second: nothing is let pass for that. */
export function userWithdrawal(
  { subject }: Pick<Principal, 'subject'>,
  issuedAt: EpochSeconds | undefined,
  view: TrustView,
): string | null {
  if (subject.kind === 'workload') return null
  const issuedBefore = view.deniedIdentities.get(userName(subject))
  if (issuedBefore === undefined || (issuedAt ?? 0) >= issuedBefore) return null
  return `what was issued to ${userName(subject)} before ${issuedBefore} is denied`
}

/** The clock of an issuer may be ahead of ours by so much: what it issued before a denial may be dated after it. */
const ISSUER_SKEW = 30

/** A client at the edge has no certificate that would say since when it is good. */
function clientWithdrawal({ presenter }: Principal, issuedAt: EpochSeconds, view: TrustView): string | null {
  const issuedBefore = view.deniedIdentities.get(presenter.uri)
  if (issuedBefore === undefined || issuedAt >= issuedBefore) return null
  return `what ${presenter.uri} was given before ${issuedBefore} is denied`
}

function keyWithdrawal({ inbound, principal, token }: ShownCredentials, view: TrustView): Denial | null {
  const { certificate } = inbound.connection
  const denied = certificate === null ? null : certificateKeyWithdrawal(certificate, principal.presenter.uri, view)
  if (denied !== null) return { ...denied, caller: principal }
  if (token === null) return null
  const against = (code: DenialCode, explanation: string) => deny(code, explanation, { caller: principal })
  if (token.keyId !== null && view.deniedAuthorities.has(token.keyId))
    return against('token_denied', `token key ${token.keyId} is denied`)
  if (token.epoch !== null && token.epoch < view.state.epoch)
    return against('token_epoch', `the token is of epoch ${token.epoch}, now is ${view.state.epoch}`)
  const link = linkKeyWithdrawal(principal.chain ?? [], view)
  return link === null ? null : against('chain_denied', link)
}

/** The part of a withdrawal that is about the certificate. */
export function certificateWithdrawal(certificate: PeerCertificate, id: string, view: TrustView): Denial | null {
  return certificatePersonally(certificate, id, view) ?? certificateKeyWithdrawal(certificate, id, view)
}

function certificatePersonally(certificate: PeerCertificate, id: string, view: TrustView): Denial | null {
  const against = againstCertificate(certificate, id)
  if (view.deniedSerials.has(certificate.serial))
    return against('certificate_denied', `serial ${certificate.serial} is denied`)
  const issuedBefore = view.deniedIdentities.get(id)
  if (issuedBefore !== undefined && certificate.notBefore + backdatingSeconds < issuedBefore)
    return against('identity_denied', `credentials issued before ${issuedBefore} are denied`)
  return view.roles.has(id) ? null : against('identity_unregistered', 'the trust state has no such workload')
}

function certificateKeyWithdrawal(certificate: PeerCertificate, id: string, view: TrustView): Denial | null {
  const against = againstCertificate(certificate, id)
  const { authorityKeyId: anchor } = certificate
  if (anchor !== null && view.deniedAuthorities.has(anchor))
    return against('certificate_denied', `signing authority ${anchor} is denied`)
  const epoch = view.anchorEpochs.get(anchor ?? '')
  if (epoch !== undefined && epoch < view.state.epoch)
    return against('certificate_epoch', `its authority is of epoch ${epoch}, now is ${view.state.epoch}`)
  return null
}

function againstCertificate({ fingerprint, serial }: PeerCertificate, id: string) {
  const caller = { id, certificateFingerprint: fingerprint, certificateSerial: serial }
  return (code: DenialCode, explanation: string) => deny(code, explanation, { caller })
}
