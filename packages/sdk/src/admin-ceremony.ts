/** What the authority's admin API tells about ceremonies and delegations, read strictly. */

import { epochSeconds, isJsonObject, readP256Jwk } from '@doorward/core'
import type { Delegation, JsonObject, JsonValue, P256Jwk } from '@doorward/core'
import { invalidAnswer, listOf, numberOf } from './admin-workload.ts'

export type CeremonyKind = 'rotate' | 'recover'

export interface NewCeremony {
  readonly kind: CeremonyKind
  readonly reason: string
  readonly emergency?: boolean
  readonly reissue?: boolean
  readonly retire?: boolean
  /** Name of the only authority that takes part. */
  readonly only?: string
  /** Names of authorities that get no new keys. */
  readonly exclude?: readonly string[]
}

/** What was seen of a stage. Names are the first hundred. */
export interface CeremonySight {
  readonly followers: number
  readonly acknowledged: number
  readonly reissued: number
  readonly straggling: number
  readonly stragglers: readonly string[]
  readonly note: string
}

export interface CeremonyStep extends CeremonySight {
  readonly stage: string
  /** Milliseconds since 1970. */
  readonly at: number
}

/** What one old key has signed after its denial. */
export type Canary =
  | { readonly kind: 'certificate'; readonly authority: string; readonly keyId: string; readonly certificate: string }
  | {
      readonly kind: 'token'
      readonly authority: string
      readonly keyId: string
      readonly audience: string
      readonly token: string
    }

export interface CeremonyView {
  readonly id: string
  readonly kind: CeremonyKind
  readonly stage: string
  readonly emergency: boolean
  readonly reason: string
  readonly by: string
  readonly authorities: readonly string[]
  readonly exclude: readonly string[]
  readonly replaces: readonly string[]
  readonly startedAt: number
  readonly stages: readonly CeremonyStep[]
  /** Of the present stage, as it is now. */
  readonly progress: (CeremonySight & { readonly settled: boolean }) | null
  readonly canaries: readonly Canary[] | null
  /** For whose key the canary certificates are. */
  readonly canaryKey: P256Jwk | null
  /** Signed note. */
  readonly report: string | null
}

export interface DelegationView {
  /** RFC 7638 thumbprint of the recovery root that has to sign. */
  readonly root: string
  readonly statement: Delegation
  /** Whose keys it names, in the order of the keys. */
  readonly authorities: readonly {
    readonly name: string
    readonly live: boolean
    readonly thumbprint: string
    readonly isNew: boolean
  }[]
  /** The recovery that waits for the signature. */
  readonly ceremony: { readonly id: string; readonly reason: string; readonly by: string } | null
}

/** One attempt with an old key, for the report. */
export interface Probe {
  readonly listener: string
  readonly address: string
  readonly attempt: string
  readonly keyId: string
  readonly got: string
  /** It went as it must: a control was let in, everything else refused. */
  readonly ok: boolean
}

export function probeDocument({ listener, address, attempt, keyId, got, ok }: Probe): JsonObject {
  return { listener, address, attempt, key_id: keyId, got, ok }
}

export function readCeremony(value: JsonObject): CeremonyView {
  const { kind, emergency, progress = null, canaries = null, report = null } = value
  if (kind !== 'rotate' && kind !== 'recover') throw invalidAnswer('kind rotate or recover')
  if (report !== null && typeof report !== 'string') throw invalidAnswer('report as text')
  return {
    id: textOf(value, 'id'),
    kind,
    stage: textOf(value, 'stage'),
    emergency: emergency === true,
    reason: textOf(value, 'reason'),
    by: textOf(value, 'by'),
    authorities: textsOf(value, 'authorities'),
    exclude: textsOf(value, 'exclude'),
    replaces: textsOf(value, 'replaces'),
    startedAt: numberOf(value, 'started_at'),
    stages: listOf(value['stages'], (step) => ({
      stage: textOf(step, 'stage'),
      at: numberOf(step, 'at'),
      ...readSight(step),
    })),
    progress: isJsonObject(progress) ? { ...readSight(progress), settled: progress['settled'] === true } : null,
    canaries: canaries === null ? null : listOf(canaries, readCanary),
    canaryKey: readP256Jwk(value['canary_key']),
    report,
  }
}

export function readDelegationView(value: JsonObject): DelegationView {
  const { statement, ceremony = null } = value
  if (!isJsonObject(statement)) throw invalidAnswer('statement as an object')
  return {
    root: textOf(value, 'root'),
    statement: readStatement(statement),
    authorities: listOf(value['authorities'], (one) => ({
      name: textOf(one, 'name'),
      live: one['live'] === true,
      thumbprint: textOf(one, 'thumbprint'),
      isNew: one['new'] === true,
    })),
    ceremony: isJsonObject(ceremony)
      ? { id: textOf(ceremony, 'id'), reason: textOf(ceremony, 'reason'), by: textOf(ceremony, 'by') }
      : null,
  }
}

/** An unsigned delegation as it is written down for a root that is elsewhere. */
export function statementDocument({ trustDomain, version, keys, issuedAt, expiresAt }: Delegation): JsonObject {
  return {
    trust_domain: trustDomain,
    version,
    keys: keys.map(({ kty, crv, x, y }) => ({ kty, crv, x, y })),
    issued_at: issuedAt,
    expires_at: expiresAt,
  }
}

/** Throws `response_invalid` for what is not exactly one. */
export function readStatement(value: JsonObject): Delegation {
  const keys: readonly (P256Jwk | null)[] = Array.isArray(value['keys'])
    ? (value['keys'] as readonly JsonValue[]).map((key) => readP256Jwk(key))
    : []
  const named = keys.filter((key) => key !== null)
  if (named.length === 0 || named.length !== keys.length) throw invalidAnswer('keys as P-256 keys')
  return {
    trustDomain: textOf(value, 'trust_domain'),
    version: numberOf(value, 'version'),
    keys: named,
    issuedAt: epochSeconds(numberOf(value, 'issued_at')),
    expiresAt: epochSeconds(numberOf(value, 'expires_at')),
  }
}

function readSight(value: JsonObject): CeremonySight {
  return {
    followers: numberOf(value, 'followers'),
    acknowledged: numberOf(value, 'acknowledged'),
    reissued: numberOf(value, 'reissued'),
    straggling: numberOf(value, 'straggling'),
    stragglers: textsOf(value, 'stragglers'),
    note: typeof value['note'] === 'string' ? value['note'] : '',
  }
}

function readCanary(value: JsonObject): Canary {
  const authority = textOf(value, 'authority')
  const keyId = textOf(value, 'key_id')
  if (value['kind'] === 'certificate')
    return { kind: 'certificate', authority, keyId, certificate: textOf(value, 'certificate') }
  return { kind: 'token', authority, keyId, audience: textOf(value, 'audience'), token: textOf(value, 'token') }
}

function textOf(value: JsonObject, name: string): string {
  const text = value[name]
  if (typeof text !== 'string' || text === '') throw invalidAnswer(`${name} as text`)
  return text
}

function textsOf(value: JsonObject, name: string): readonly string[] {
  const texts = value[name]
  if (!Array.isArray(texts)) throw invalidAnswer(`${name} as a list`)
  return (texts as readonly JsonValue[]).filter((text) => typeof text === 'string')
}
