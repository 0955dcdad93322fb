/** Making one of our access tokens. What this mints, `verifyToken` accepts; what it would refuse is not signed. */

import { concat, toBase64url, utf8 } from '../bytes.ts'
import { DoorwardError } from '../error.ts'
import type { JsonValue } from '../json-value.ts'
import type { SignKey } from '../primitives.ts'
import { tokenLimits } from './claims.ts'
import type { AccessTokenClaims } from './claims.ts'
import { readClaims } from './read-claims.ts'

const DOT = utf8('.')

/**
 * A compact JWS (RFC 7515 §7.1) with header `{alg: ES256, typ: at+jwt, kid}`.
 * Throws `token_claims_invalid` for claims of the wrong shape, a lifetime above 300 s or a token above 4 KiB, or what custody throws.
 */
export async function mintToken(
  claims: AccessTokenClaims,
  { kid, signKey }: { readonly kid: string; readonly signKey: SignKey },
): Promise<string> {
  const shape = readClaims(JSON.parse(JSON.stringify(claims)) as JsonValue)
  if (typeof shape === 'string') throw invalid(shape)
  const lifetime = claims.exp - claims.iat
  if (lifetime <= 0 || lifetime > tokenLimits.lifetimeSeconds) throw invalid(`a lifetime of ${lifetime} s`)
  if (kid === '' || kid.length > tokenLimits.idLength) throw invalid('a key id that is empty or too long')
  const header = toBase64url(utf8(JSON.stringify({ alg: 'ES256', typ: 'at+jwt', kid })))
  const payload = toBase64url(utf8(JSON.stringify(shape)))
  const signature = await signKey.sign(concat(utf8(header), DOT, utf8(payload)))
  const token = `${header}.${payload}.${toBase64url(signature)}`
  if (token.length > tokenLimits.bytes) throw invalid(`a token of ${token.length} characters`)
  return token
}

function invalid(got: string): DoorwardError {
  return new DoorwardError('token_claims_invalid', `cannot mint the token: ${got}`)
}
