/** What the rows of the authority's tables say; the columns are named alike in every database. */

import { calleeRole } from '@doorward/core'
import type { RegisteredWorkload, SlotState } from '@doorward/core'
import type { AttestationRule } from '../authority/attest/rule.ts'
import type { Ceremony } from '../authority/ceremony.ts'
import type {
  Alarm,
  AuthorityEntry,
  Denial,
  Domain,
  Instance,
  IssuanceIntent,
  IssuedCertificateRow,
  JoinToken,
  KeySlot,
  Registration,
  SlotPurpose,
  StoredAck,
  StoredCrl,
  StoredDelegation,
  StoredTrustState,
} from '../authority/ports.ts'
import type { StateHolder } from './join-states.ts'
import {
  bytes,
  bytesOrNull,
  document,
  documentOrNull,
  jwk,
  millis,
  seconds,
  secondsOrNull,
  text,
  textOrNull,
  texts,
  whole,
} from './row.ts'
import type { Row } from './row.ts'

export function domainOf(row: Row): Domain {
  return {
    trustDomain: text(row, 'trust_domain'),
    root: jwk(row, 'root'),
    epoch: whole(row, 'epoch'),
    foundedAt: seconds(row, 'founded_at'),
  }
}

export function registrationOf(row: Row): Registration {
  return {
    id: text(row, 'id'),
    roles: texts(row, 'roles'),
    ttlSeconds: whole(row, 'ttl_seconds'),
    dnsNames: texts(row, 'dns_names'),
    ipAddresses: texts(row, 'ip_addresses'),
    sharedNames: whole(row, 'shared_names') === 1,
    attestation: document(row, 'attestation') as readonly AttestationRule[],
    singleInstance: whole(row, 'single_instance') === 1,
    canary: whole(row, 'canary') === 1,
    audiences: texts(row, 'audiences'),
    createdAt: seconds(row, 'created_at'),
    updatedAt: seconds(row, 'updated_at'),
    revision: whole(row, 'revision'),
  }
}

/** As the trust state has it: who is called by others decides about them. */
export function trustedWorkloadOf(row: Row): RegisteredWorkload {
  const [roles, audiences] = [texts(row, 'roles'), texts(row, 'audiences')]
  return { id: text(row, 'id'), roles: audiences.length === 0 ? roles : [...roles, calleeRole] }
}

export function tokenOf(row: Row): JoinToken {
  return {
    hash: text(row, 'hash'),
    id: text(row, 'id'),
    createdAt: seconds(row, 'created_at'),
    expiresAt: seconds(row, 'expires_at'),
  }
}

export function instanceOf(row: Row): Instance {
  return {
    ...stateHolderOf(row),
    id: text(row, 'id'),
    machineKey: jwk(row, 'jwk'),
    attestedBy: text(row, 'attested_by'),
    boundAt: seconds(row, 'bound_at'),
  }
}

export function stateHolderOf(row: Row): StateHolder {
  const offered = textOrNull(row, 'offered')
  const lockedAt = secondsOrNull(row, 'locked_at')
  return {
    instance: text(row, 'instance'),
    seenAt: seconds(row, 'seen_at'),
    sequence: whole(row, 'sequence'),
    current: textOrNull(row, 'current'),
    offered: offered === null ? null : { hash: offered, serial: text(row, 'offered_serial') },
    locked: lockedAt === null ? null : { at: lockedAt, reason: text(row, 'locked_reason') },
  }
}

export function intentOf(row: Row): IssuanceIntent {
  return {
    serial: text(row, 'serial'),
    id: text(row, 'id'),
    anchorKeyId: text(row, 'anchor_key_id'),
    authority: text(row, 'authority'),
    instance: textOrNull(row, 'instance'),
    predecessor: textOrNull(row, 'predecessor'),
    publicKeyHash: text(row, 'public_key_hash'),
    notBefore: seconds(row, 'not_before'),
    notAfter: seconds(row, 'not_after'),
    intendedAt: seconds(row, 'intended_at'),
  }
}

export function certificateOf(row: Row): IssuedCertificateRow {
  const state = text(row, 'state') as IssuedCertificateRow['state']
  return { ...intentOf(row), fingerprint: textOrNull(row, 'fingerprint'), state }
}

export function slotOf(row: Row): KeySlot {
  return {
    purpose: text(row, 'purpose') as SlotPurpose,
    keyId: text(row, 'key_id'),
    keyName: text(row, 'key_name'),
    authority: text(row, 'authority'),
    state: text(row, 'state') as SlotState,
    jwk: jwk(row, 'jwk'),
    certificate: bytesOrNull(row, 'certificate'),
    notAfter: seconds(row, 'not_after'),
    preparedAt: seconds(row, 'prepared_at'),
    publishedAt: secondsOrNull(row, 'published_at'),
    activatedAt: secondsOrNull(row, 'activated_at'),
    retiredAt: secondsOrNull(row, 'retired_at'),
    epoch: whole(row, 'epoch'),
    ceremony: textOrNull(row, 'ceremony'),
    reissue: whole(row, 'reissue') === 1,
  }
}

export function denialOf(row: Row): Denial {
  return {
    kind: text(row, 'kind') as Denial['kind'],
    value: text(row, 'value'),
    issuedBefore: seconds(row, 'issued_before'),
    lapsesAt: seconds(row, 'lapses_at'),
    reason: text(row, 'reason'),
  }
}

export function delegationOf(row: Row): StoredDelegation {
  return { version: whole(row, 'version'), expiresAt: seconds(row, 'expires_at'), message: text(row, 'message') }
}

export function trustStateOf(row: Row): StoredTrustState {
  return {
    delegation: whole(row, 'delegation'),
    sequence: whole(row, 'sequence'),
    message: text(row, 'message'),
    anchors: text(row, 'anchors'),
    callers: { sequence: whole(row, 'callers_sequence'), message: text(row, 'callers_message') },
  }
}

/** All but whether it is live: that is a matter of the store's clock. */
export function authorityOf(row: Row): Omit<AuthorityEntry, 'live'> {
  return {
    instance: text(row, 'instance'),
    name: text(row, 'name'),
    fence: whole(row, 'fence'),
    place: documentOrNull(row, 'place') as AuthorityEntry['place'],
    trustKey: documentOrNull(row, 'trust_key') as AuthorityEntry['trustKey'],
    trustKeys: (documentOrNull(row, 'trust_keys') ?? []) as AuthorityEntry['trustKeys'],
    log: documentOrNull(row, 'log') as AuthorityEntry['log'],
    program: text(row, 'program'),
    startedAt: millis(row, 'started_at'),
    seenAt: millis(row, 'seen_at'),
  }
}

export function ackOf(row: Row): StoredAck {
  return {
    id: text(row, 'id'),
    instance: text(row, 'instance'),
    scope: text(row, 'scope') === 'full' ? 'full' : 'callers',
    delegation: whole(row, 'delegation'),
    sequence: whole(row, 'sequence'),
    at: millis(row, 'at'),
    authority: text(row, 'authority'),
  }
}

export function ceremonyOf(row: Row): Ceremony {
  return document(row, 'document') as Ceremony
}

export function alarmOf(row: Row): Alarm {
  return {
    detector: text(row, 'detector'),
    subject: text(row, 'subject'),
    detail: text(row, 'detail'),
    source: text(row, 'source'),
    firstAt: millis(row, 'first_at'),
    lastAt: millis(row, 'last_at'),
    count: whole(row, 'count'),
  }
}

export function crlOf(row: Row): StoredCrl {
  return {
    keyId: text(row, 'key_id'),
    number: whole(row, 'number'),
    thisUpdate: seconds(row, 'this_update'),
    nextUpdate: seconds(row, 'next_update'),
    der: bytes(row, 'der'),
  }
}
