/** What every rule of one authority works with. */

import { toSeconds } from '@doorward/core'
import type { Clock, EpochSeconds, ImportP256, RandomBytes, Sha256, SpiffeId, TrustDomain } from '@doorward/core'
import type { Vouchers } from './attest/vouchers.ts'
import type { DetectionPort } from './detection-port.ts'
import type { People } from './people.ts'
import type { AuthorityRecord, AuthorityStore, Custody } from './ports.ts'

export interface AuthorityContext {
  readonly trustDomain: TrustDomain
  /** `spiffe://<trust domain>/doorward/authority`. */
  readonly id: SpiffeId
  /** Random name of this authority's state: its serials and slots carry it. */
  readonly instance: string
  /** Its name among others on the same store, as configuration gives it. */
  readonly name: string
  readonly store: AuthorityStore
  readonly custody: Custody
  readonly log: AuthorityRecord
  readonly detections: DetectionPort
  readonly vouchers: Vouchers
  readonly people: People
  readonly clock: Clock
  readonly random: RandomBytes
  readonly sha256: Sha256
  readonly importP256: ImportP256
  /** Why nothing may be signed now: the lease is lost, or the clock cannot be relied upon. Null when it may. */
  readonly unfit: () => string | null
}

export function nowSeconds({ clock }: Pick<AuthorityContext, 'clock'>): EpochSeconds {
  return toSeconds(clock())
}
