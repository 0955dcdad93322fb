/** What an operator says about a workload: the JSON of the admin API and the YAML of `doorward workload apply`. */

import type { JsonValue } from '../json-value.ts'
import { dnsNameRule, readAttestation } from './attestation-entry.ts'
import type { AttestationEntry } from './attestation-entry.ts'
import { inside, readFlag, readKeys, readSet, readText, readTexts, refuseValue } from './document-reader.ts'
import type { DocumentProblem, Place, TextRule } from './document-reader.ts'
import { readIpAddress } from './address-text.ts'
import { isAudienceUrl } from './audience.ts'
import { isEdgeId } from './edge-id.ts'
import { readSpiffeId } from './spiffe-id.ts'
import type { SpiffeId, TrustDomain } from './spiffe-id.ts'

/** Lists are sorted and without repetition: their order means nothing. */
export interface WorkloadDocument {
  readonly id: string
  readonly roles: readonly string[]
  /** Lifetime of its certificates. */
  readonly ttl_seconds: number
  /** Further names in its certificates, for clients that dial by name. */
  readonly dns_names: readonly string[]
  readonly ip_addresses: readonly string[]
  /** Others may have the same DNS names, when they say so too. */
  readonly shared_names: boolean
  /** Any one of them suffices to join; with none nobody joins any more. */
  readonly attest: readonly AttestationEntry[]
  readonly single_instance: boolean
  readonly canary: boolean
  /** Exact https URLs for which tokens may be asked by whoever calls it; each belongs to one workload. */
  readonly audiences: readonly string[]
}

export const workloadLimits = {
  roles: 64,
  names: 16,
  attestations: 16,
  audiences: 16,
  leastTtlSeconds: 300,
  mostTtlSeconds: 86_400,
  defaultTtlSeconds: 3600,
} as const

/** Ids that Doorward gives to its own parts: no operator registers or changes them. */
export function isReservedId({ segments }: SpiffeId): boolean {
  return segments[0] === 'doorward'
}

export interface WorkloadCheck {
  readonly trustDomain: TrustDomain
  /** Whether ids of Doorward's own parts are accepted: only from the authority itself. */
  readonly reserved: boolean
}

const optional: readonly (keyof WorkloadDocument)[] = [
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

const ROLE = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/
const roleRule: TextRule = {
  read: (text) => (ROLE.test(text) ? text : null),
  message: 'not a role',
  expected: '1 to 64 characters of A-Z a-z 0-9 . _ -',
}
const addressRule: TextRule = {
  read: readIpAddress,
  message: 'not an IP address',
  expected: '192.0.2.7 or 2001:db8::7',
}

const audienceRule: TextRule = {
  read: (text) => (isAudienceUrl(text) ? text : null),
  message: 'not an audience',
  expected: 'https://orders.acme.example:9443/api: lowercase host, no port 443, no query, no final slash',
}

/** The document with its defaults, or everything that is wrong with it. What is missing beside `id` has a default. */
export function readWorkloadDocument(
  value: JsonValue,
  check: WorkloadCheck,
): WorkloadDocument | { readonly problems: readonly DocumentProblem[] } {
  const top: Place = { keys: [], problems: [] }
  const keys = readKeys(top, value, ['id'], optional)
  if (keys === null) return { problems: top.problems }
  const at = (key: keyof WorkloadDocument) => [inside(top, key), keys[key]] as const
  const document: WorkloadDocument = {
    id: readId(...at('id'), check),
    roles: readTexts(...at('roles'), roleRule, workloadLimits.roles),
    ttl_seconds: readTtl(...at('ttl_seconds')),
    dns_names: readTexts(...at('dns_names'), dnsNameRule, workloadLimits.names),
    ip_addresses: readTexts(...at('ip_addresses'), addressRule, workloadLimits.names),
    shared_names: readFlag(...at('shared_names')),
    attest: readAttestations(...at('attest')),
    single_instance: readFlag(...at('single_instance')),
    canary: readFlag(...at('canary')),
    audiences: readTexts(...at('audiences'), audienceRule, workloadLimits.audiences),
  }
  return top.problems.length === 0 ? document : { problems: top.problems }
}

function readId(place: Place, value: JsonValue | undefined, { trustDomain, reserved }: WorkloadCheck): string {
  const text = readText(place, value, { read: (given) => given, message: '', expected: '' })
  if (typeof value !== 'string') return text
  const below = `an id below spiffe://${trustDomain}/`
  const id = readSpiffeId(text)
  if ('problem' in id) return refuseValue(place, `not a SPIFFE ID: ${id.problem}`, below, text) ?? ''
  if (id.trustDomain !== trustDomain) return refuseValue(place, 'of another trust domain', below, text) ?? ''
  if (id.segments.length === 0) return refuseValue(place, 'no path', below, text) ?? ''
  if (isEdgeId(id))
    return refuseValue(place, 'reserved for clients at the edge', `${below} other than edge/`, text) ?? ''
  if (!reserved && isReservedId(id))
    return refuseValue(place, 'reserved for parts of Doorward', `${below} other than doorward/`, text) ?? ''
  return text
}

function readTtl(place: Place, value: JsonValue | undefined): number {
  const { leastTtlSeconds: least, mostTtlSeconds: most, defaultTtlSeconds } = workloadLimits
  if (value === undefined) return defaultTtlSeconds
  if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most) return value
  return refuseValue(place, 'not a lifetime', `whole seconds from ${least} to ${most}`, value) ?? defaultTtlSeconds
}

const byJoinToken: readonly AttestationEntry[] = [{ join_token: true }]

function readAttestations(place: Place, value: JsonValue | undefined): readonly AttestationEntry[] {
  if (value === undefined) return byJoinToken
  const entries = readSet(place, value, workloadLimits.attestations, (item, at) => readAttestation(at, item))
  return sortedAttestations(entries.filter((entry) => entry !== null))
}

/** In the order of their JSON. */
export function sortedAttestations(entries: readonly AttestationEntry[]): readonly AttestationEntry[] {
  return entries.toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1))
}

/** One member of a document that is to be another. */
export interface WorkloadChange {
  readonly field: keyof WorkloadDocument
  readonly before: JsonValue
  readonly after: JsonValue
}

/** What makes the documents differ, in the order of their members. */
export function workloadChanges(before: WorkloadDocument, after: WorkloadDocument): readonly WorkloadChange[] {
  return (['id', ...optional] as const).flatMap((field) => {
    const [was, is] = [before[field], after[field]] as const
    return JSON.stringify(was) === JSON.stringify(is) ? [] : [{ field, before: was, after: is }]
  })
}
