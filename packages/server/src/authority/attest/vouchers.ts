/** Whom the operator trusts to say who somebody is, by their names in configuration. */

import type { PeerCertificate, PlatformAlgorithm } from '@doorward/core'
import type { IssuerKeys } from './issuer-keys.ts'

/** An issuer of platform tokens. */
export interface PlatformIssuer {
  /** `iss`, exactly. */
  readonly issuer: string
  /** The one audience that tokens for us have. */
  readonly audience: string
  readonly algorithms: readonly PlatformAlgorithm[]
  readonly maxLifetimeSeconds: number
  readonly keys: Pick<IssuerKeys, 'find'>
}

export interface Vouchers {
  readonly issuers: ReadonlyMap<string, PlatformIssuer>
  /** Trust anchors of certificates that workloads have already. */
  readonly anchors: ReadonlyMap<string, readonly PeerCertificate[]>
}

export const noVouchers: Vouchers = { issuers: new Map(), anchors: new Map() }
