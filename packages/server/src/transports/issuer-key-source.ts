/** Where the keys of an issuer are fetched: at the URL of configuration, or where the issuer itself says (OpenID Connect Discovery §4, RFC 8414). */

import { DoorwardError, isDoorwardError, isJsonObject, member, scanJson } from '@doorward/core'
import { documentBytes, fetchDocument } from './fetch-document.ts'
import type { FetchOptions } from './fetch-document.ts'

const LIMITS = { maxBytes: documentBytes, maxDepth: 8, maxKeys: 1000 }
const WELL_KNOWN = '/.well-known/openid-configuration'
const OAUTH_WELL_KNOWN = '/.well-known/oauth-authorization-server'

/** The JWK Set, unread. No URL ever comes from a token. Throws the codes of `fetchDocument`, and `issuer_document_invalid`. */
export async function fetchIssuerKeys(
  from: { readonly issuer: string; readonly jwksUrl: string | null },
  options: FetchOptions,
): Promise<Uint8Array> {
  const url = from.jwksUrl === null ? await discoveredUrl(from.issuer, options) : new URL(from.jwksUrl)
  return fetchDocument(url, options)
}

/** Where OpenID Connect says it, or else where RFC 8414 §3.1 does: one of the two is enough. */
async function discoveredUrl(issuer: string, options: FetchOptions): Promise<URL> {
  try {
    return await keysAt(new URL(issuer.replace(/\/$/, '') + WELL_KNOWN), issuer, options)
  } catch (error) {
    if (!isDoorwardError(error, 'document_unavailable')) throw error
    const { origin, pathname } = new URL(issuer)
    const other = new URL(`${origin}${OAUTH_WELL_KNOWN}${pathname.replace(/\/$/, '')}`)
    return keysAt(other, issuer, options).catch((second: unknown) => {
      throw isDoorwardError(second, 'document_unavailable') ? error : second
    })
  }
}

async function keysAt(document: URL, issuer: string, options: FetchOptions): Promise<URL> {
  const scan = scanJson(await fetchDocument(document, options), LIMITS)
  const values = scan.ok && isJsonObject(scan.value) ? scan.value : {}
  const [said, place] = [member(values, 'issuer'), member(values, 'jwks_uri')]
  if (said !== issuer) throw invalid(document, `issuer ${issuer}`, JSON.stringify(said) ?? 'none')
  if (typeof place !== 'string' || !URL.canParse(place))
    throw invalid(document, 'a jwks_uri', JSON.stringify(place) ?? 'none')
  return new URL(place)
}

function invalid({ href }: URL, expected: string, got: string): DoorwardError {
  return new DoorwardError('issuer_document_invalid', 'the issuer does not say where its keys are', {
    where: href,
    expected,
    got: got.slice(0, 200),
  })
}
