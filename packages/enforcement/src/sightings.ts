/**
 * Refused credentials that nobody but the holder of a stolen key can have made (reference id DT-1): signed by a key of
 * ours, and such as the authority has not issued. Whoever merely shows another's credential is not among them.
 */

import { backdatingSeconds, parseSpiffeId, partiesProblem, signedClaims, toSeconds } from '@doorward/core'
import type {
  AccessTokenClaims,
  EpochSeconds,
  ImportP256,
  PeerCertificate,
  SignedClaims,
  TokenKey,
  VerifyKey,
} from '@doorward/core'
import type { Denial } from './denial.ts'
import { bearer } from './identify.ts'
import type { Inbound } from './inbound.ts'
import type { TrustSource, TrustView } from './ports.ts'

/**
 * `not_issued`: the certificate is in no issuance mirror. `not_bound`: the token is bound to a certificate that was not
 * issued. `subject`, `lifetime`, `claims`: the authority makes no such tokens. `old_epoch`, `old_key`: made after its
 * key had ended.
 */
export type SightingReason = 'not_issued' | 'not_bound' | 'subject' | 'lifetime' | 'claims' | 'old_epoch' | 'old_key'

export const sightingReasons: readonly SightingReason[] = [
  'not_issued',
  'not_bound',
  'subject',
  'lifetime',
  'claims',
  'old_epoch',
  'old_key',
]

export interface Sighting {
  readonly kind: 'certificate' | 'token'
  /** Of the key that has signed it: of an anchor, or `kid`. */
  readonly keyId: string
  /** Fingerprint of a certificate, `jti` of a token; empty when it has none. */
  readonly credential: string
  /** SPIFFE ID that it claims; empty when it claims none. */
  readonly claimed: string
  readonly reason: SightingReason
  /** Fingerprint of the certificate that was not issued; null for other reasons. */
  readonly unissued: string | null
  readonly remoteAddress: string
  readonly listener: string
}

export interface SightingsDependencies {
  readonly trust: TrustSource
  readonly importP256: ImportP256
}

/** Token keys that have left the trust state are recognised for as long as this process runs, the newest of them. */
const MAX_ENDED_KEYS = 32
/** Clocks differ, and what was under way when a key ended is no forgery. */
const graceSeconds = 120

interface EndedKey {
  readonly key: VerifyKey
  readonly endedAt: EpochSeconds
}

/** At the edge. */
const SHOWN = /^(?:Bearer|DPoP) +([^ ]+)$/i

type Found = Pick<Sighting, 'kind' | 'keyId' | 'credential' | 'claimed' | 'reason' | 'unissued'>

export class Sightings {
  readonly #dependencies: SightingsDependencies
  #keys: readonly TokenKey[] = []
  readonly #ended = new Map<string, EndedKey>()
  #epoch = 0
  /** When a later epoch was first seen here. */
  #epochSince: EpochSeconds | null = null

  constructor(dependencies: SightingsDependencies) {
    this.#dependencies = dependencies
  }

  /** To be told of every view that is applied. */
  remember({ state }: TrustView): void {
    const now = toSeconds(this.#dependencies.trust.now())
    if (this.#epoch > 0 && state.epoch > this.#epoch) this.#epochSince = now
    this.#epoch = state.epoch
    const live = state.tokenKeys.filter(({ kid }) => !state.denied.authorities.includes(kid))
    const ended = this.#keys.filter(({ kid }) => live.every((key) => key.kid !== kid))
    for (const { kid, jwk } of ended) this.#end(kid, this.#dependencies.importP256(jwk), now)
    this.#keys = live
  }

  /** What a refusal shows; null for refusals that prove nothing. */
  judge(inbound: Inbound, denial: Denial): Sighting | null {
    const { remoteAddress, listener, certificate } = inbound.connection
    const view = this.#dependencies.trust.current()
    if (view === null) return null
    const found =
      certificate === null
        ? this.#frontToken(inbound, denial, view)
        : (this.#certificate(certificate, denial) ?? this.#token(inbound, denial, view))
    return found === null ? null : { ...found, remoteAddress, listener }
  }

  #end(kid: string, key: VerifyKey | null, endedAt: EpochSeconds): void {
    const [oldest] = this.#ended.keys()
    if (this.#ended.size >= MAX_ENDED_KEYS && oldest !== undefined) this.#ended.delete(oldest)
    if (key !== null) this.#ended.set(kid, { key, endedAt })
  }

  /** Its chain held, or nobody would have asked whether it was issued. */
  #certificate(certificate: PeerCertificate, { code }: Denial): Found | null {
    const { fingerprint, spiffeId, authorityKeyId, notAfter, notBefore } = certificate
    const found = {
      kind: 'certificate',
      keyId: authorityKeyId ?? '',
      credential: fingerprint,
      claimed: spiffeId?.uri ?? '',
    } as const
    const now = toSeconds(this.#dependencies.trust.now())
    // The mirror forgets what has ended.
    if (code === 'certificate_not_issued')
      return notAfter > now ? { ...found, reason: 'not_issued', unissued: fingerprint } : null
    if (code !== 'certificate_epoch' || !this.#isLater(notBefore + backdatingSeconds)) return null
    return { ...found, reason: 'old_epoch', unissued: null }
  }

  /** Whether something of the epoch before says that it was made in this one. */
  #isLater(madeAt: number): boolean {
    return this.#epochSince !== null && madeAt > this.#epochSince + graceSeconds
  }

  #token({ head }: Inbound, { code }: Denial, view: TrustView): Found | null {
    const signed = this.#signed(bearer(head.headers['authorization']), code, view)
    // The authority has made a token of the front; that it is shown in the wrong place proves nothing.
    if (signed === null || signed.front !== null) return null
    const { keyId, claims } = signed
    const found = { kind: 'token', keyId, credential: claims?.jti ?? '', claimed: claims?.sub ?? '' } as const
    if (claims === null) return { ...found, reason: 'claims', unissued: null }
    const reason = this.#reasonOf(code, claims, { view, keyId })
    if (reason === null) return null
    return { ...found, reason, unissued: reason === 'not_bound' ? claims.cnf['x5t#S256'] : null }
  }

  /** At the edge, where there is no certificate: tokens of the front alone are good there. */
  #frontToken({ head }: Inbound, { code }: Denial, view: TrustView): Found | null {
    const [, text = null] = SHOWN.exec(head.headers['authorization'] ?? '') ?? []
    const signed = this.#signed(text, code, view)
    if (signed === null || signed.claims !== null) return null
    const { keyId, front } = signed
    const found = { kind: 'token', keyId, credential: front?.jti ?? '', claimed: front?.sub ?? '' } as const
    if (front === null) return { ...found, reason: 'claims', unissued: null }
    const reason = this.#endedReason(code, front.iat, keyId)
    return reason === null ? null : { ...found, reason, unissued: null }
  }

  /** What one of our keys has signed; a key that has ended, where no other is known. */
  #signed(text: string | null, code: Denial['code'], { tokenKeys }: TrustView): SignedClaims | null {
    if (text === null || !suspicious.has(code)) return null
    const ended = new Map([...this.#ended].map(([kid, { key }]) => [kid, key]))
    return signedClaims(text, code === 'token_key_unknown' ? ended : tokenKeys)
  }

  /** What no token has that was issued before its key or its epoch had ended. */
  #endedReason(code: Denial['code'], issuedAt: EpochSeconds, keyId: string): SightingReason | null {
    if (code === 'token_lifetime') return 'lifetime'
    if (code === 'token_epoch') return this.#isLater(issuedAt) ? 'old_epoch' : null
    if (code !== 'token_key_unknown') return null
    const endedAt = this.#ended.get(keyId)?.endedAt ?? issuedAt
    return issuedAt > endedAt + graceSeconds ? 'old_key' : null
  }

  #reasonOf(
    code: Denial['code'],
    claims: AccessTokenClaims,
    { view, keyId }: { readonly view: TrustView; readonly keyId: string },
  ): SightingReason | null {
    const holder = view.issued.get(claims.cnf['x5t#S256'])?.id
    if (code !== 'token_subject' && code !== 'token_binding') return this.#endedReason(code, claims.iat, keyId)
    if (holder === undefined) return claims.exp > toSeconds(this.#dependencies.trust.now()) ? 'not_bound' : null
    return isIssued(claims, holder) ? null : 'subject'
  }
}

/** Whether the authority makes such a token for this workload: for itself, or for whom it acts for. */
function isIssued(claims: AccessTokenClaims, holder: string): boolean {
  return claims.client_id === holder && partiesProblem(claims, parseSpiffeId(holder).trustDomain) === null
}

/** Refusals after the signature has held, and of keys that are not known any more. */
const suspicious: ReadonlySet<Denial['code']> = new Set<Denial['code']>([
  'token_claims',
  'token_lifetime',
  'token_key_unknown',
  'token_epoch',
  'token_subject',
  'token_binding',
])
