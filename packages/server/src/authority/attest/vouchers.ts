/** Whom the operator trusts to say who somebody is, by their names in configuration. */

import type { PeerCertificate, PlatformAlgorithm, VerifyKey } from '@doorward/core'

/** The keys of one issuer over time. */
export interface KeyFinder {
  /** Null when the issuer has none of that id and algorithm. Throws `issuer_keys_unavailable` when its keys cannot be had. */
  find(algorithm: PlatformAlgorithm, kid: string): Promise<VerifyKey | null>
}

/** An issuer of platform tokens. */
export interface PlatformIssuer {
  /** `iss`, exactly. */
  readonly issuer: string
  /** The one audience that tokens for us have. */
  readonly audience: string
  readonly algorithms: readonly PlatformAlgorithm[]
  readonly maxLifetimeSeconds: number
  readonly keys: KeyFinder
}

export interface Vouchers {
  readonly issuers: ReadonlyMap<string, PlatformIssuer>
  /** Trust anchors of certificates that workloads have already. */
  readonly anchors: ReadonlyMap<string, readonly PeerCertificate[]>
}

export const noVouchers: Vouchers = { issuers: new Map(), anchors: new Map() }
