/** What a JWT-SVID must say (SPIFFE JWT-SVID §3): subject, audience and end. Whatever else it says is its issuer's affair. */

import { isJsonObject, member } from '../json/object.ts'
import type { JsonObject, JsonValue } from '../json-value.ts'
import { isSeconds, isText, readList } from '../identity/strict-members.ts'
import { readSpiffeId } from '../identity/spiffe-id.ts'
import type { SpiffeId } from '../identity/spiffe-id.ts'
import type { EpochSeconds } from '../time.ts'

export interface JwtSvid {
  readonly id: SpiffeId
  readonly audiences: readonly string[]
  readonly notBefore: EpochSeconds | null
  readonly issuedAt: EpochSeconds | null
  readonly expiresAt: EpochSeconds
  /** Every claim as signed, those above too. Of the others nothing is judged. */
  readonly claims: JsonObject
}

const MAX_TEXT = 2048
const MAX_AUDIENCES = 32

/**
 * The claims, or what is wrong with them. `sub` is a SPIFFE ID with a path: one without names the authority, which does
 * not authenticate. `aud` is one text or a list of them; `exp` and, when present, `nbf` and `iat` are whole seconds.
 */
export function readJwtSvidClaims(value: JsonValue): JwtSvid | string {
  if (!isJsonObject(value)) return 'expected claims to be an object'
  const sub = member(value, 'sub')
  const id = typeof sub === 'string' ? readSpiffeId(sub) : null
  if (id === null || 'problem' in id || id.segments.length === 0) return 'expected sub to be a SPIFFE ID with a path'
  const audiences = readAudiences(member(value, 'aud'))
  if (audiences === null || audiences.length === 0) return 'expected aud to be one text or a list of them'
  const expiresAt = member(value, 'exp')
  const notBefore = readMoment(member(value, 'nbf'))
  const issuedAt = readMoment(member(value, 'iat'))
  if (!isSeconds(expiresAt)) return 'expected exp in whole seconds'
  if (notBefore === undefined || issuedAt === undefined) return 'expected nbf and iat in whole seconds'
  return { id, audiences, notBefore, issuedAt, expiresAt, claims: value }
}

function readAudiences(value: JsonValue | undefined): readonly string[] | null {
  if (isText(value, MAX_TEXT)) return [value]
  return readList(value, MAX_AUDIENCES, (item) => (isText(item, MAX_TEXT) ? item : null))
}

/** Null when absent, undefined when it is anything else than a moment. */
function readMoment(value: JsonValue | undefined): EpochSeconds | null | undefined {
  if (value === undefined) return null
  return isSeconds(value) ? value : undefined
}
