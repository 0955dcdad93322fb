/** Requests of ACME: a flattened JWS with nonce and URL, signed by the account (RFC 8555 §6.2). */

import { concat, toBase64url, utf8 } from '@doorward/core'
import type { JsonValue, P256Jwk, SignKey } from '@doorward/core'

export interface AccountKey extends SignKey {
  readonly jwk: P256Jwk
}

export interface AcmeRequest {
  readonly url: string
  readonly nonce: string
  /** The account; null before there is one, when its key speaks for itself. */
  readonly account: string | null
  /** Null asks for something without saying anything (POST-as-GET, §6.3). */
  readonly payload: JsonValue | null
}

const DOT = utf8('.')

export async function signedRequest({ url, nonce, account, payload }: AcmeRequest, key: AccountKey): Promise<string> {
  const who = account === null ? { jwk: { ...key.jwk } } : { kid: account }
  const header = toBase64url(utf8(JSON.stringify({ alg: 'ES256', ...who, nonce, url })))
  const body = payload === null ? '' : toBase64url(utf8(JSON.stringify(payload)))
  const signature = await key.sign(concat(utf8(header), DOT, utf8(body)))
  return JSON.stringify({ protected: header, payload: body, signature: toBase64url(signature) })
}
