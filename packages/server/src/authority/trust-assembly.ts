/** The trust states that the store's facts amount to. Pure. */

import { calleeRole, epochSeconds } from '@doorward/core'
import type { EpochSeconds, TrustState } from '@doorward/core'
import type { Denial, SlotPurpose } from './ports.ts'
import type { WholeMaterial } from './trust-mirror.ts'

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
export function assembleTrustState(material: WholeMaterial, head: StateHead): TrustState {
  const { denials, slots } = material
  const values = (kind: Denial['kind']) => denials.filter((denial) => denial.kind === kind).map(({ value }) => value)
  const authorities = values('authority')
  const shown = slots.filter(
    ({ state, keyId, notAfter }) => state !== 'prepared' && notAfter > head.now && !authorities.includes(keyId),
  )
  const keysOf = (purpose: SlotPurpose) =>
    shown.flatMap((slot) => (slot.purpose === purpose ? [{ kid: slot.keyId, state: slot.state, jwk: slot.jwk }] : []))
  return {
    scope: 'full',
    trustDomain: head.trustDomain,
    delegation: head.delegation,
    sequence: head.sequence,
    issuedAt: head.now,
    expiresAt: epochSeconds(Math.min(head.now + stateSeconds, head.delegationExpiresAt)),
    epoch: material.epoch,
    authorities: material.authorities,
    anchors: shown.flatMap(({ keyId, state, certificate, epoch, reissue }) =>
      certificate === null ? [] : [{ keyId, state, certificate, epoch, reissue }],
    ),
    tokenKeys: keysOf('token'),
    jwtSvidKeys: keysOf('jwt-svid'),
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

/** What callers see of a full state: no workload, and what was issued to those whom they call. */
export function callersState(full: TrustState): TrustState {
  const servers = [`spiffe://${full.trustDomain}/doorward/authority`, `spiffe://${full.trustDomain}/doorward/gateway/`]
  const callees = new Set(full.workloads.flatMap(({ id, roles }) => (roles.includes(calleeRole) ? [id] : [])))
  const isServer = (id: string) =>
    callees.has(id) || servers.some((server) => (server.endsWith('/') ? id.startsWith(server) : id === server))
  return { ...full, scope: 'callers', workloads: [], issued: full.issued.filter(({ id }) => isServer(id)) }
}

/** Whether callers would see a difference beside version and time. */
export function sameForCallers(a: TrustState, b: TrustState): boolean {
  return content(a) === content(b)
}

/** Whether `later` takes nothing away from anybody: no key, certificate, authority or right that `held` has is missing or limited. */
export function onlyAdds(held: TrustState, later: TrustState): boolean {
  const has = <T>(list: readonly T[], key: (one: T) => string) => {
    const keys = new Set(list.map(key))
    return (one: T) => keys.has(key(one))
  }
  return (
    held.delegation === later.delegation &&
    held.epoch === later.epoch &&
    JSON.stringify(held.denied) === JSON.stringify(later.denied) &&
    held.authorities.every(has(later.authorities, (one) => JSON.stringify(one))) &&
    held.anchors.every(has(later.anchors, ({ keyId, reissue }) => `${keyId} ${reissue}`)) &&
    held.tokenKeys.every(has(later.tokenKeys, ({ kid }) => kid)) &&
    held.jwtSvidKeys.every(has(later.jwtSvidKeys, ({ kid }) => kid)) &&
    held.issued.every(has(later.issued, ({ fingerprint }) => fingerprint))
  )
}

function content(state: TrustState): string {
  const { delegation, epoch, authorities, anchors, tokenKeys, jwtSvidKeys, issued, denied } = state
  const keys = anchors.map(({ keyId, state: slot, epoch: of, reissue }) => [keyId, slot, of, reissue])
  return JSON.stringify([delegation, epoch, authorities, keys, tokenKeys, jwtSvidKeys, issued, denied])
}
