/** What the authority's admin API tells about registered workloads, read strictly. */

import { DoorwardError, isJsonObject, readWorkloadDocument } from '@doorward/core'
import type { JsonObject, JsonValue, TrustDomain, WorkloadDocument } from '@doorward/core'

/** A registered workload. Times are seconds since 1970. */
export interface Workload {
  readonly document: WorkloadDocument
  /** Names this content: whoever changes the workload says which one was seen. */
  readonly revision: number
  readonly createdAt: number
  readonly updatedAt: number
}

/** Which workloads are meant; all by default. */
export interface WorkloadQuery {
  /** The full SPIFFE ID itself and whatever lies below it, by whole segments. */
  readonly under?: string
  readonly role?: string
  readonly attestation?: 'join_token' | 'bound_key' | 'x509_pop' | 'oidc'
}

/** One copy of a workload, with a machine key of its own. */
export interface WorkloadInstance {
  readonly instance: string
  readonly attestedBy: string
  readonly boundAt: number
  readonly seenAt: number
  /** Join states confirmed so far. */
  readonly sequence: number
  readonly locked: { readonly at: number; readonly reason: string } | null
}

export interface WorkloadCertificate {
  readonly serial: string
  readonly fingerprint: string
  readonly notAfter: number
  /** Key id of the anchor. */
  readonly anchor: string
  readonly instance: string | null
}

/** A workload with everything that stands on it. Of long lists the newest are there. */
export interface WorkloadDetail extends Workload {
  readonly instances: readonly WorkloadInstance[]
  /** Live ones. */
  readonly certificates: readonly WorkloadCertificate[]
  /** Unused live ones; nobody knows them but their holders. */
  readonly joinTokens: readonly { readonly createdAt: number; readonly expiresAt: number }[]
  readonly counts: EndedCounts
}

export interface EndedCounts {
  readonly instances: number
  readonly certificates: number
  readonly joinTokens: number
}

const members = [
  'id',
  'roles',
  'ttl_seconds',
  'dns_names',
  'ip_addresses',
  'shared_names',
  'attest',
  'single_instance',
  'canary',
  'audiences',
]

/** Members that a later release adds are left out. Throws `response_invalid`. */
export function readWorkload(value: JsonValue | undefined, trustDomain: TrustDomain): Workload {
  const object = objectOf(value, 'a workload')
  const known = Object.fromEntries(Object.entries(object).filter(([name]) => members.includes(name)))
  const document = readWorkloadDocument(known, { trustDomain, reserved: true })
  if ('problems' in document) throw invalidAnswer('a workload of this trust domain')
  return {
    document,
    revision: numberOf(object, 'revision'),
    createdAt: numberOf(object, 'created_at'),
    updatedAt: numberOf(object, 'updated_at'),
  }
}

/** Throws `response_invalid`. */
export function readWorkloadDetail(value: JsonObject, trustDomain: TrustDomain): WorkloadDetail {
  return {
    ...readWorkload(value['workload'], trustDomain),
    instances: listOf(value['instances'], readInstance),
    certificates: listOf(value['certificates'], readCertificateRow),
    joinTokens: listOf(value['join_tokens'], (one) => ({
      createdAt: numberOf(one, 'created_at'),
      expiresAt: numberOf(one, 'expires_at'),
    })),
    counts: readCounts(value['counts']),
  }
}

export function readCounts(value: JsonValue | undefined): EndedCounts {
  const counts = objectOf(value, 'counts')
  return {
    instances: numberOf(counts, 'instances'),
    certificates: numberOf(counts, 'certificates'),
    joinTokens: numberOf(counts, 'join_tokens'),
  }
}

function readInstance(one: JsonObject): WorkloadInstance {
  const locked = one['locked']
  return {
    instance: textOf(one, 'instance'),
    attestedBy: textOf(one, 'attested_by'),
    boundAt: numberOf(one, 'bound_at'),
    seenAt: numberOf(one, 'seen_at'),
    sequence: numberOf(one, 'sequence'),
    locked: isJsonObject(locked) ? { at: numberOf(locked, 'at'), reason: textOf(locked, 'reason') } : null,
  }
}

function readCertificateRow(one: JsonObject): WorkloadCertificate {
  return {
    serial: textOf(one, 'serial'),
    fingerprint: textOf(one, 'fingerprint'),
    notAfter: numberOf(one, 'not_after'),
    anchor: textOf(one, 'anchor'),
    instance: one['instance'] === null ? null : textOf(one, 'instance'),
  }
}

/** Throws `response_invalid`. */
export function listOf<T>(value: JsonValue | undefined, read: (item: JsonObject) => T): readonly T[] {
  if (!Array.isArray(value)) throw invalidAnswer('a list')
  return (value as readonly JsonValue[]).map((item) => read(objectOf(item, 'an object')))
}

/** Throws `response_invalid`. */
export function objectOf(value: JsonValue | undefined, expected: string): JsonObject {
  if (!isJsonObject(value)) throw invalidAnswer(expected)
  return value
}

/** Throws `response_invalid`. */
export function textOf(object: JsonObject, name: string): string {
  const value = object[name]
  if (typeof value !== 'string') throw invalidAnswer(`${name} as text`)
  return value
}

/** Throws `response_invalid`. */
export function numberOf(object: JsonObject, name: string): number {
  const value = object[name]
  if (typeof value !== 'number') throw invalidAnswer(`${name} as a number`)
  return value
}

export function invalidAnswer(expected: string): DoorwardError {
  return new DoorwardError('response_invalid', 'the admin API gave an answer that cannot be read', { expected })
}
