/**
 * Tokens by which a configured issuer says who a person is: access tokens (RFC 9068, or plain JWTs where configuration says
 * so) and ID tokens (OpenID Connect Core §2). The kinds never overlap: neither reader accepts what the other does by mistake,
 * because type, audience and claims differ.
 */

import { isText } from '../identity/strict-members.ts'
import { member } from '../json/object.ts'
import type { JsonObject } from '../json-value.ts'
import { refuse } from './compact-jws.ts'
import type { TokenRefusal } from './compact-jws.ts'
import { issuerAlgorithms, readAlgorithm, readForeignJws } from './foreign-jws.ts'
import type { ForeignHeader, ForeignJws } from './foreign-jws.ts'

export interface IssuerHeader extends ForeignHeader {
  /** Without `application/`; null for none. */
  readonly type: string | null
}

export type IssuerToken = ForeignJws<IssuerHeader>

const MAX_TYPE = 64
/** Members that bring or name keys, change what is signed, or make something else of it (threat model: JWT headers). */
const REFUSED = ['jwk', 'jku', 'x5u', 'x5c', 'crit', 'b64', 'enc', 'zip']

/**
 * Reads a token of at most 8 KiB, unverified. Members of the header that say nothing about keys or signature are ignored
 * (RFC 7515 §4). Codes: `token_too_large`, `token_malformed`, `token_algorithm`, `token_header`, `token_claims`.
 */
export function readIssuerToken(text: string): IssuerToken | TokenRefusal {
  return readForeignJws(text, readHeader)
}

/** The same for an ID token: its type is `JWT` or not said. Code `token_type` as well. */
export function readIdToken(text: string): IssuerToken | TokenRefusal {
  const token = readForeignJws(text, readHeader)
  if ('ok' in token) return token
  const { type } = token.header
  return type === null || type === 'JWT' ? token : refuse('token_type', 'expected typ JWT, or none')
}

function readHeader(header: JsonObject): IssuerHeader | TokenRefusal {
  const read = readAlgorithm(header, issuerAlgorithms)
  if ('ok' in read) return read
  const refused = REFUSED.find((name) => Object.hasOwn(header, name))
  if (refused !== undefined) return refuse('token_header', `expected no ${refused} in the header`)
  const typ = member(header, 'typ')
  if (typ !== undefined && !isText(typ, MAX_TYPE)) return refuse('token_type', 'expected typ to be a text')
  // RFC 7515 §4.1.9: the prefix may be left out.
  return { ...read, type: typ === undefined ? null : typ.replace(/^application\//i, '') }
}
