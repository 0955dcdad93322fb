/** Where the keys of a platform's issuer are fetched: at the URL of configuration, or where the issuer itself says (OpenID Connect Discovery §4). */

import { DoorwardError, isJsonObject, member, scanJson } from '@doorward/core'
import { documentBytes, fetchDocument } from './fetch-document.ts'
import type { FetchOptions } from './fetch-document.ts'

const LIMITS = { maxBytes: documentBytes, maxDepth: 8, maxKeys: 1000 }
const WELL_KNOWN = '/.well-known/openid-configuration'

/** The JWK Set, unread. No URL ever comes from a token. Throws the codes of `fetchDocument`, and `issuer_document_invalid`. */
export async function fetchIssuerKeys(
  from: { readonly issuer: string; readonly jwksUrl: string | null },
  options: FetchOptions,
): Promise<Uint8Array> {
  const url = from.jwksUrl === null ? await discoveredUrl(from.issuer, options) : new URL(from.jwksUrl)
  return fetchDocument(url, options)
}

async function discoveredUrl(issuer: string, options: FetchOptions): Promise<URL> {
  const document = new URL(issuer.replace(/\/$/, '') + WELL_KNOWN)
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
