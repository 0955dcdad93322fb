/** The trust state that the store's facts amount to. Pure. */

import { epochSeconds } from '@doorward/core'
import type { EpochSeconds, TrustState } from '@doorward/core'
import type { Denial, TrustMaterial } from './ports.ts'

export interface StateHead {
  readonly trustDomain: string
  readonly delegation: number
  readonly delegationExpiresAt: EpochSeconds
  readonly sequence: number
  readonly now: EpochSeconds
}

/** A state that is not replaced for a day is not relied upon any longer. */
const stateSeconds = 86_400

/** Keys that are only prepared stay private; those that are denied leave the lists and stay among the denials. */
export function assembleTrustState(material: TrustMaterial, head: StateHead): TrustState {
  const { denials, slots } = material
  const values = (kind: Denial['kind']) => denials.filter((denial) => denial.kind === kind).map(({ value }) => value)
  const authorities = values('authority')
  const shown = slots.filter(
    ({ state, keyId, notAfter }) => state !== 'prepared' && notAfter > head.now && !authorities.includes(keyId),
  )
  return {
    trustDomain: head.trustDomain,
    delegation: head.delegation,
    sequence: head.sequence,
    issuedAt: head.now,
    expiresAt: epochSeconds(Math.min(head.now + stateSeconds, head.delegationExpiresAt)),
    epoch: material.epoch,
    anchors: shown.flatMap(({ keyId, state, certificate }) =>
      certificate === null ? [] : [{ keyId, state, certificate }],
    ),
    tokenKeys: shown.flatMap(({ purpose, keyId, state, jwk }) =>
      purpose === 'token' ? [{ kid: keyId, state, jwk }] : [],
    ),
    workloads: material.workloads,
    issued: material.issued,
    denied: {
      identities: denials.flatMap(({ kind, value, issuedBefore }) =>
        kind === 'identity' ? [{ id: value, issuedBefore }] : [],
      ),
      serials: values('serial'),
      tokens: values('token'),
      authorities,
    },
  }
}
