/** What the authority's admin API tells about denials, read strictly. */

import type { JsonObject, JsonValue } from '@doorward/core'
import { invalidAnswer, listOf, numberOf, objectOf, textOf } from './admin-workload.ts'

/** What is to be denied. */
export type RevocationSubject =
  /** `unseen` denies a serial too that the authority has not issued. */
  | { readonly subject: 'serial'; readonly serial: string; readonly unseen?: boolean }
  /** `issued_before` in seconds since 1970; now by default. */
  | { readonly subject: 'workload'; readonly id: string; readonly issued_before?: number }
  | { readonly subject: 'instance'; readonly instance: string }
  /** The `jti` of the token. */
  | { readonly subject: 'token'; readonly token: string }
  /** `<issuer>#<subject>`, as the record names them. */
  | { readonly subject: 'user'; readonly user: string }
  /** Key id of an anchor or of a token key. */
  | { readonly subject: 'authority'; readonly key_id: string }

/** Times are seconds since 1970. */
export interface RevocationRow {
  readonly kind: 'identity' | 'serial' | 'token' | 'authority'
  readonly value: string
  /** Identities alone: what was issued before is denied. */
  readonly issuedBefore: number | null
  /** All others: since when. */
  readonly deniedAt: number | null
  /** When nothing that it refuses can be alive any more. */
  readonly lapsesAt: number
  readonly reason: string
}

/** The first trust state that shows a denial, in both scopes. */
export interface RevocationMark {
  readonly delegation: number
  readonly full: number
  readonly callers: number
}

export interface Revocation {
  /** All that is denied by it. */
  readonly revocations: readonly RevocationRow[]
  /** Instances that were locked. */
  readonly locked: readonly string[]
  readonly mark: RevocationMark
}

/** SPIFFE IDs of those who follow the trust state. */
export interface RevocationReceivers {
  readonly acknowledged: readonly string[]
  /** They have not said that they have applied it; unreachable ones fence themselves. */
  readonly stragglers: readonly string[]
}

const kinds: readonly string[] = ['identity', 'serial', 'token', 'authority'] satisfies readonly RevocationRow['kind'][]

/** Throws `response_invalid`, as the others here. */
export function readRevocation(value: JsonObject): Revocation {
  const mark = objectOf(value['trust_state'], 'trust_state')
  return {
    revocations: readRevocationRows(value['revocations']),
    locked: readTexts(value['locked'], 'locked'),
    mark: {
      delegation: numberOf(mark, 'delegation'),
      full: numberOf(mark, 'full'),
      callers: numberOf(mark, 'callers'),
    },
  }
}

export function readRevocationRows(value: JsonValue | undefined): readonly RevocationRow[] {
  return listOf(value, (one) => ({
    kind: readKind(textOf(one, 'kind')),
    value: textOf(one, 'value'),
    issuedBefore: one['issued_before'] === undefined ? null : numberOf(one, 'issued_before'),
    deniedAt: one['denied_at'] === undefined ? null : numberOf(one, 'denied_at'),
    lapsesAt: numberOf(one, 'lapses_at'),
    reason: textOf(one, 'reason'),
  }))
}

export function readReceivers(value: JsonObject): RevocationReceivers {
  return {
    acknowledged: readTexts(value['acknowledged'], 'acknowledged'),
    stragglers: readTexts(value['stragglers'], 'stragglers'),
  }
}

function readKind(text: string): RevocationRow['kind'] {
  if (!kinds.includes(text)) throw invalidAnswer('a kind of denial')
  return text as RevocationRow['kind']
}

function readTexts(value: JsonValue | undefined, name: string): readonly string[] {
  if (!Array.isArray(value) || !value.every((one) => typeof one === 'string')) throw invalidAnswer(`${name} as texts`)
  return value
}
