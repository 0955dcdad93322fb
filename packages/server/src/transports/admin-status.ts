/** The authority's admin API: how the authorities stand. */

import type { Authority } from '../authority/authority.ts'
import type { Alarm } from '../authority/ports.ts'
import type { AuthorityStanding, SlotStatus } from '../authority/status.ts'
import { ceremonyShown } from './admin-ceremonies.ts'
import type { ApiAnswer, ApiRoute } from './api-routes.ts'

export function statusRoutes(authority: Authority): readonly ApiRoute[] {
  return [
    {
      credential: 'token',
      group: 'admin',
      method: 'GET',
      path: '/v1/status',
      body: 'none',
      handle: () => status(authority),
    },
  ]
}

async function status(authority: Authority): Promise<ApiAnswer> {
  const status = await authority.status()
  const { delegation, sequence, callersSequence, epoch, storeAhead, ceremony } = status
  const value = {
    trust_domain: status.trustDomain,
    self: status.self,
    recovery_root: { fingerprint: status.rootFingerprint, at_hand: status.rootAtHand },
    delegation: { version: delegation.version, expires_at: delegation.expiresAt, keys: delegation.keys },
    trust_state: { delegation: delegation.version, sequence, callers_sequence: callersSequence, epoch },
    authorities: status.authorities.map(authorityShown),
    store_ahead_milliseconds: storeAhead,
    slots: status.slots.map(slotShown),
    followers: status.followers,
    straggling: status.straggling,
    stragglers: status.stragglers,
    acks: status.acks,
    ceremony: ceremony === null ? null : ceremonyShown(ceremony),
    alarms: status.alarms.map(alarmShown),
    crls: status.crls.map(({ keyId, number, thisUpdate, nextUpdate }) => ({
      key_id: keyId,
      number,
      this_update: thisUpdate,
      next_update: nextUpdate,
    })),
    workloads: status.workloads,
    certificates: status.certificates,
  }
  return { kind: 'json', status: 200, value }
}

function authorityShown({ name, live, fence, place, program, startedAt, seenAt, delegated }: AuthorityStanding) {
  return { name, live, fence, place, program, started_at: startedAt, seen_at: seenAt, delegated }
}

function slotShown(slot: SlotStatus) {
  const { purpose, keyId, owner, state, dead, epoch, ceremony, reissue, next } = slot
  return {
    purpose,
    key_id: keyId,
    authority: owner,
    state,
    dead,
    epoch,
    ceremony,
    reissue,
    prepared_at: slot.preparedAt,
    published_at: slot.publishedAt,
    activated_at: slot.activatedAt,
    retired_at: slot.retiredAt,
    not_after: slot.notAfter,
    next,
  }
}

function alarmShown({ detector, subject, detail, firstAt, lastAt, count, source }: Alarm) {
  return { detector, subject, detail, first_at: firstAt, last_at: lastAt, count, source }
}
