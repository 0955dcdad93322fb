/** The join string: all that a new workload needs to find, pin and convince the authority (reference id BS-4). */

import { fromBase64url, toBase64url, utf8 } from '../bytes.ts'
import { DoorwardError } from '../error.ts'
import { scanJson } from '../json/scan.ts'
import type { JsonValue } from '../json-value.ts'
import { Secret } from '../secret.ts'
import { readSpiffeId } from './spiffe-id.ts'
import type { TrustDomain } from './spiffe-id.ts'
import { distinct, exactObject, isText, readList } from './strict-members.ts'

export interface JoinString {
  readonly version: 1
  readonly trustDomain: TrustDomain
  /** Host and port of the enrolment listener: `name:port`, `1.2.3.4:port` or `[v6]:port`. */
  readonly address: string
  /** Those of other authorities of the trust domain, at most seven: any of them admits. None by default. */
  readonly otherAddresses?: readonly string[]
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
/** As many authorities as a trust domain may have, but for one. */
const MAX_OTHERS = 7
const LIMITS = { maxBytes: MAX_LENGTH, maxDepth: 2, maxKeys: 16 }
const FINGERPRINT = /^[A-Za-z0-9_-]{43}$/
const TOKEN = /^[A-Za-z0-9_-]{22,256}$/
const ADDRESS = /^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9a-fA-F:.]{2,45}\]):([1-9][0-9]{0,4})$/

/**
 * `doorward-join-1.<base64url of JSON>`. The text holds the token: print it once, on purpose. Of the other addresses it has
 * those that there is room for. Throws `join_string_invalid`.
 */
export function encodeJoinString(join: JoinString): string {
  const { otherAddresses: others = [] } = join
  const texts = others.map((_, index) => encoded(join, others.slice(0, others.length - index)))
  return texts.find(({ length }) => length <= MAX_LENGTH) ?? encoded(join, [])
}

function encoded(join: JoinString, others: readonly string[]): string {
  const document = {
    trust_domain: join.trustDomain,
    address: join.address,
    ...(others.length === 0 ? {} : { others }),
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

const required = ['trust_domain', 'address', 'trust_state', 'root']
const optional = ['others', 'token', 'spiffe_id']

function readDocument(value: JsonValue): JoinString {
  const document = exactObject(value, required, optional)
  if (document === null)
    throw invalid('trust domain, address, trust state, root and at most other addresses, token and SPIFFE ID')
  const { trust_domain, address, others, trust_state, root, token, spiffe_id } = document as Readonly<
    Record<string, JsonValue | undefined>
  >
  const domain = isText(trust_domain, 255) ? readSpiffeId(`spiffe://${trust_domain}`) : null
  if (domain === null || 'problem' in domain || domain.segments.length > 0) throw invalid('a trust domain')
  if (!isAddress(address)) throw invalid('an address host:port')
  if (!isText(trust_state, 43) || !FINGERPRINT.test(trust_state)) throw invalid('a trust-state fingerprint')
  if (!isText(root, 43) || !FINGERPRINT.test(root)) throw invalid('a recovery-root fingerprint')
  const { trustDomain } = domain
  return {
    version: 1,
    trustDomain,
    address,
    ...(others === undefined ? {} : { otherAddresses: readOthers(others) }),
    trustStateFingerprint: trust_state,
    rootFingerprint: root,
    ...(token === undefined ? {} : { token: readToken(token) }),
    ...(spiffe_id === undefined ? {} : { spiffeId: readId(spiffe_id, trustDomain) }),
  }
}

function isAddress(value: JsonValue | undefined): value is string {
  return isText(value, 300) && Number(ADDRESS.exec(value)?.[1] ?? '65536') <= 65_535
}

function readOthers(value: JsonValue): readonly string[] {
  const others = readList(value, MAX_OTHERS, (item) => (isAddress(item) ? item : null))
  if (others === null || others.length === 0 || !distinct(others, (other) => other))
    throw invalid(`1 to ${MAX_OTHERS} other addresses host:port, each once`)
  return others
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
