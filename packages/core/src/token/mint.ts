/** Making one of our access tokens. What this mints, `verifyToken` accepts; what it would refuse is not signed. */

import type { JsonValue } from '../json-value.ts'
import { tokenLimits } from './claims.ts'
import type { AccessTokenClaims } from './claims.ts'
import { readClaims } from './read-claims.ts'
import { signCompactJws, unmintable } from './sign-compact-jws.ts'
import type { TokenSigner } from './sign-compact-jws.ts'

/**
 * A compact JWS (RFC 7515 §7.1) with header `{alg: ES256, typ: at+jwt, kid}`.
 * Throws `token_claims_invalid` for claims of the wrong shape, a lifetime above 300 s or a token above 4 KiB, or what custody throws.
 */
export async function mintToken(claims: AccessTokenClaims, signer: TokenSigner): Promise<string> {
  const shape = readClaims(JSON.parse(JSON.stringify(claims)) as JsonValue)
  if (typeof shape === 'string') throw unmintable(shape)
  const lifetime = claims.exp - claims.iat
  if (lifetime <= 0 || lifetime > tokenLimits.lifetimeSeconds) throw unmintable(`a lifetime of ${lifetime} s`)
  return signCompactJws('at+jwt', JSON.parse(JSON.stringify(shape)) as JsonValue, signer)
}
