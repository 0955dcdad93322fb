/** Signing a compact JWS (RFC 7515 §7.1) with ES256: the header is `{alg, typ, kid}`, always with all three. */

import { concat, toBase64url, utf8 } from '../bytes.ts'
import { DoorwardError } from '../error.ts'
import type { JsonValue } from '../json-value.ts'
import type { SignKey } from '../primitives.ts'
import { tokenLimits } from './claims.ts'

export interface TokenSigner {
  readonly kid: string
  readonly signKey: SignKey
}

const DOT = utf8('.')

/** Throws `token_claims_invalid` for a key id that is empty or too long and for more than 4 KiB, or what custody throws. */
export async function signCompactJws(typ: string, claims: JsonValue, { kid, signKey }: TokenSigner): Promise<string> {
  if (kid === '' || kid.length > tokenLimits.idLength) throw unmintable('a key id that is empty or too long')
  const header = toBase64url(utf8(JSON.stringify({ alg: 'ES256', typ, kid })))
  const payload = toBase64url(utf8(JSON.stringify(claims)))
  const signature = await signKey.sign(concat(utf8(header), DOT, utf8(payload)))
  const token = `${header}.${payload}.${toBase64url(signature)}`
  if (token.length > tokenLimits.bytes) throw unmintable(`a token of ${token.length} characters`)
  return token
}

export function unmintable(got: string): DoorwardError {
  return new DoorwardError('token_claims_invalid', `cannot mint the token: ${got}`)
}
