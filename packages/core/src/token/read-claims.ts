/** The shape of the claims: every one required and typed, none unknown. An unknown claim might be a restriction that nobody here enforces. */

import { distinct, exactObject, isCount, isSeconds, isText, readList } from '../identity/strict-members.ts'
import type { JsonValue } from '../json-value.ts'
import { epochClaim, tokenLimits, userClaim, userLimits } from './claims.ts'
import type { AccessTokenClaims, UserClaim } from './claims.ts'
import { delegationClaims, readDelegation } from './read-delegation.ts'

const REQUIRED = ['iss', 'sub', 'aud', 'iat', 'nbf', 'exp', 'jti', 'client_id', 'cnf', epochClaim]
const OPTIONAL = [...delegationClaims, userClaim]
const MAX_TEXT = 2048
const FINGERPRINT = /^[A-Za-z0-9_-]{43}$/

/** The claims, or what is wrong with them. Values are not judged. */
export function readClaims(value: JsonValue): AccessTokenClaims | string {
  const claims = exactObject(value, REQUIRED, OPTIONAL)
  if (claims === null) return `expected exactly the claims ${REQUIRED.join(', ')} and at most ${OPTIONAL.join(', ')}`
  const { iss, sub, aud, iat, nbf, exp, jti, client_id } = claims as Readonly<Record<string, JsonValue>>
  if (!isText(iss, MAX_TEXT)) return 'expected iss to be a text'
  if (!isText(sub, MAX_TEXT)) return 'expected sub to be a text'
  if (!isText(aud, MAX_TEXT)) return 'expected aud to be one text'
  if (!isSeconds(iat) || !isSeconds(nbf) || !isSeconds(exp)) return 'expected iat, nbf and exp to be whole seconds'
  if (!isText(jti, tokenLimits.idLength))
    return `expected jti to be a text of at most ${tokenLimits.idLength} characters`
  if (!isText(client_id, MAX_TEXT)) return 'expected client_id to be a text'
  const epoch = claims[epochClaim]
  if (!isCount(epoch)) return 'expected the epoch to be a whole number'
  const thumbprint = exactObject(claims['cnf'], ['x5t#S256'])?.['x5t#S256']
  if (typeof thumbprint !== 'string' || !FINGERPRINT.test(thumbprint)) return 'expected cnf to hold x5t#S256 alone'
  const plain = {
    iss,
    sub,
    aud,
    iat,
    nbf,
    exp,
    jti,
    client_id,
    cnf: { 'x5t#S256': thumbprint },
    [epochClaim]: epoch,
  } as const
  const user = Object.hasOwn(claims, userClaim) ? readUserClaim(claims[userClaim]) : undefined
  if (user === null) return 'expected the user to have exactly issuer, subject and groups'
  const delegation = readDelegation(claims)
  if (typeof delegation === 'string') return delegation
  return { ...plain, ...(user === undefined ? {} : { [userClaim]: user }), ...delegation }
}

/** Null for anything but a user within the limits. */
export function readUserClaim(value: JsonValue | undefined): UserClaim | null {
  const user = exactObject(value, ['issuer', 'subject', 'groups'])
  if (user === null) return null
  const { issuer, subject } = user
  const groups = readList(user['groups'], userLimits.groups, (one) =>
    isText(one, userLimits.groupLength) ? one : null,
  )
  const fits = isText(issuer, userLimits.issuerLength) && isText(subject, userLimits.subjectLength)
  return fits && groups !== null && distinct(groups, (group) => group) ? { issuer, subject, groups } : null
}
