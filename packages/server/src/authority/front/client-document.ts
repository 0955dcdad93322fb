/**
 * Clients that are known by the URL of a document about them (OAuth Client ID Metadata Documents): what may be such a URL, and
 * what of the document counts. Pure.
 */

import { isJsonObject, isRedirectUri, isText, member, readList, scanJson } from '@doorward/core'
import type { JsonObject } from '@doorward/core'
import type { FrontClient } from './client.ts'

export const clientDocumentBytes = 8192
const LIMITS = { maxBytes: clientDocumentBytes, maxDepth: 6, maxKeys: 200 }
const MAX_URL = 512
const MAX_NAME = 80
const MAX_REDIRECTS = 16
const MAX_LIST = 32

/** https with a path, exactly as a parser writes it: no user, no fragment, no query, no dot segments, no port but its own. */
export function isClientDocumentUrl(text: string): boolean {
  if (text.length > MAX_URL || !text.startsWith('https://') || !URL.canParse(text)) return false
  const { href, pathname, username, password, hash, search } = new URL(text)
  const plain = username === '' && password === '' && hash === '' && search === '' && !/[?#%]/.test(text)
  return plain && href === text && pathname !== '/'
}

/** The client that a document describes; what is wrong with it otherwise. */
export function readClientDocument(id: string, bytes: Uint8Array): FrontClient | string {
  const scan = scanJson(bytes, LIMITS)
  if (!scan.ok || !isJsonObject(scan.value)) return 'expected a JSON object'
  const document: JsonObject = scan.value
  if (member(document, 'client_id') !== id) return 'expected client_id to be the URL of the document'
  if (member(document, 'client_secret') !== undefined) return 'expected no client_secret: anybody reads the document'
  if ((member(document, 'token_endpoint_auth_method') ?? 'none') !== 'none')
    return 'expected token_endpoint_auth_method none'
  if (!lists(document, 'grant_types', 'authorization_code') || !lists(document, 'response_types', 'code'))
    return 'expected authorization_code among grant_types, and code among response_types'
  const redirectUris = readList(member(document, 'redirect_uris'), MAX_REDIRECTS, (one) =>
    typeof one === 'string' && isRedirectUri(one) ? one : null,
  )
  if (redirectUris === null || redirectUris.length === 0)
    return `expected 1 to ${MAX_REDIRECTS} redirect_uris by https, loopback or a scheme of an application`
  const { host } = new URL(id)
  const named = member(document, 'client_name')
  const name = isText(named, MAX_NAME) ? `${named} (${host})` : host
  return { id, name, from: 'document', redirectUris }
}

/** Left out means the default, which is what we want (RFC 7591 §2). */
function lists(document: JsonObject, name: string, wanted: string): boolean {
  const value = member(document, name)
  if (value === undefined) return true
  return readList(value, MAX_LIST, (one) => (typeof one === 'string' ? one : null))?.includes(wanted) === true
}
