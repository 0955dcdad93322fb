/** Asks an issuer about an opaque token (RFC 7662 §2.1), as a client that proves itself with a secret (RFC 6749 §2.3.1). */

import type { Secret } from '@doorward/core'
import { exchangeDocument, ownBody } from './fetch-document.ts'
import type { FetchOptions } from './fetch-document.ts'

export interface IntrospectionClient {
  readonly url: string
  readonly clientId: string
  /** Read for each question, so that a new one counts at once. */
  readonly secret: () => Promise<Secret>
  readonly auth: 'basic' | 'post'
}

/** The body of the answer, unread. Throws the codes of `fetchDocument`, and what `secret` throws. */
export async function askAboutToken(
  token: string,
  { url, clientId, secret, auth }: IntrospectionClient,
  options: FetchOptions,
): Promise<Uint8Array> {
  const place = new URL(url)
  const form = new URLSearchParams({ token, token_type_hint: 'access_token' })
  const own = (await secret()).reveal()
  if (auth === 'post') {
    form.set('client_id', clientId)
    form.set('client_secret', own)
  }
  const headers = {
    'content-type': 'application/x-www-form-urlencoded',
    ...(auth === 'basic' ? { authorization: basic(clientId, own) } : {}),
  }
  return ownBody(place, await exchangeDocument(place, { method: 'POST', headers, body: form.toString() }, options))
}

/** RFC 6749 §2.3.1: both parts are form-encoded first. */
export function basic(clientId: string, secret: string): string {
  const encoded = [clientId, secret].map((text) => new URLSearchParams({ x: text }).toString().slice(2))
  return `Basic ${Buffer.from(encoded.join(':')).toString('base64')}`
}
