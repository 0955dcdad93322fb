/** The join string: all that a new workload needs to find, pin and convince the authority (reference id BS-4). */

import { fromBase64url, toBase64url, utf8 } from '../bytes.ts'
import { DoorwardError } from '../error.ts'
import { scanJson } from '../json/scan.ts'
import type { JsonValue } from '../json-value.ts'
import { Secret } from '../secret.ts'
import { readSpiffeId } from './spiffe-id.ts'
import type { TrustDomain } from './spiffe-id.ts'
import { exactObject, isText } from './strict-members.ts'

export interface JoinString {
  readonly version: 1
  readonly trustDomain: TrustDomain
  /** Host and port of the enrolment listener: `name:port`, `1.2.3.4:port` or `[v6]:port`. */
  readonly address: string
  /** SHA-256 of the trust state's signed payload at the time of writing, base64url. */
  readonly trustStateFingerprint: string
  /** RFC 7638 thumbprint of the recovery root, base64url. */
  readonly rootFingerprint: string
  /** Single use; absent where the key is registered beforehand. */
  readonly token?: Secret
  /** The SPIFFE ID that the token is for. */
  readonly spiffeId?: string
}

const PREFIX = 'doorward-join-1.'
const MAX_LENGTH = 4096
const LIMITS = { maxBytes: MAX_LENGTH, maxDepth: 1, maxKeys: 16 }
const FINGERPRINT = /^[A-Za-z0-9_-]{43}$/
const TOKEN = /^[A-Za-z0-9_-]{22,256}$/
const ADDRESS = /^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9a-fA-F:.]{2,45}\]):([1-9][0-9]{0,4})$/

/** `doorward-join-1.<base64url of JSON>`. The text holds the token: print it once, on purpose. Throws `join_string_invalid`. */
export function encodeJoinString(join: JoinString): string {
  const document = {
    trust_domain: join.trustDomain,
    address: join.address,
    trust_state: join.trustStateFingerprint,
    root: join.rootFingerprint,
    ...(join.token === undefined ? {} : { token: join.token.reveal() }),
    ...(join.spiffeId === undefined ? {} : { spiffe_id: join.spiffeId }),
  }
  readDocument(document)
  return PREFIX + toBase64url(utf8(JSON.stringify(document)))
}

/** Throws `join_string_invalid`. Surrounding whitespace is ignored, because the text comes from a file or a terminal. */
export function parseJoinString(text: string): JoinString {
  const trimmed = text.length > MAX_LENGTH ? '' : text.trim()
  const bytes = trimmed.startsWith(PREFIX) ? fromBase64url(trimmed.slice(PREFIX.length)) : null
  if (bytes === null) throw invalid(`a text of at most ${MAX_LENGTH} characters that starts with ${PREFIX}`)
  const scan = scanJson(bytes, LIMITS)
  if (!scan.ok) throw invalid('strict JSON inside')
  return readDocument(scan.value)
}

function readDocument(value: JsonValue): JoinString {
  const document = exactObject(value, ['trust_domain', 'address', 'trust_state', 'root'], ['token', 'spiffe_id'])
  if (document === null) throw invalid('trust domain, address, trust state, root and at most token and SPIFFE ID')
  const { trust_domain, address, trust_state, root, token, spiffe_id } = document as Readonly<
    Record<string, JsonValue | undefined>
  >
  const domain = isText(trust_domain, 255) ? readSpiffeId(`spiffe://${trust_domain}`) : null
  if (domain === null || 'problem' in domain || domain.segments.length > 0) throw invalid('a trust domain')
  if (!isText(address, 300) || Number(ADDRESS.exec(address)?.[1] ?? '65536') > 65535)
    throw invalid('an address host:port')
  if (!isText(trust_state, 43) || !FINGERPRINT.test(trust_state)) throw invalid('a trust-state fingerprint')
  if (!isText(root, 43) || !FINGERPRINT.test(root)) throw invalid('a recovery-root fingerprint')
  const { trustDomain } = domain
  return {
    version: 1,
    trustDomain,
    address,
    trustStateFingerprint: trust_state,
    rootFingerprint: root,
    ...(token === undefined ? {} : { token: readToken(token) }),
    ...(spiffe_id === undefined ? {} : { spiffeId: readId(spiffe_id, trustDomain) }),
  }
}

function readToken(value: JsonValue): Secret {
  if (typeof value !== 'string' || !TOKEN.test(value)) throw invalid('a token of 22 to 256 base64url characters')
  return new Secret(value)
}

function readId(value: JsonValue, trustDomain: TrustDomain): string {
  const id = typeof value === 'string' ? readSpiffeId(value) : null
  if (id === null || 'problem' in id || id.trustDomain !== trustDomain || id.segments.length === 0) {
    throw invalid(`a SPIFFE ID of a workload of ${trustDomain}`)
  }
  return id.uri
}

function invalid(expected: string): DoorwardError {
  return new DoorwardError('join_string_invalid', 'not a join string', {
    expected,
    next: 'copy the whole join string again, or ask the operator for a new one',
  })
}
