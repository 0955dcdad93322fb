/** Trust state as JSON and back. Strict: no unknown member, no repeated name, every list bounded. */

import { fromBase64, toBase64, utf8 } from '../bytes.ts'
import { scanJson } from '../json/scan.ts'
import type { JsonObject, JsonValue } from '../json-value.ts'
import type { Sha256 } from '../primitives.ts'
import { readCertificate } from './certificate.ts'
import { readP256Jwk } from './jwk.ts'
import { readUserName } from './principal.ts'
import { readSpiffeId } from './spiffe-id.ts'
import { statementVersion } from './signed-statement.ts'
import { distinct, exactObject, isCount, isSeconds, isText, readList } from './strict-members.ts'
import type {
  AuthorityPlace,
  DeniedIdentity,
  Denials,
  Issued,
  RegisteredWorkload,
  SlotState,
  TokenKey,
  TrustAnchor,
  TrustScope,
  TrustState,
} from './trust-state.ts'

export const trustStateLimits = {
  payloadBytes: 16 * 1024 * 1024,
  authorities: 8,
  anchors: 64,
  tokenKeys: 64,
  jwtSvidKeys: 64,
  workloads: 20_000,
  issued: 100_000,
  denied: 20_000,
  rolesPerWorkload: 64,
  nameLength: 128,
} as const

const LIMITS = { maxBytes: trustStateLimits.payloadBytes, maxDepth: 5, maxKeys: 500_000 }
const STATES: readonly string[] = ['prepared', 'published', 'active', 'retired'] satisfies readonly SlotState[]
const FINGERPRINT = /^[A-Za-z0-9_-]{43}$/
const KEY_ID = /^(?:[0-9a-f]{2}){8,32}$/
const SERIAL = /^(?:[0-9a-f]{2}){1,20}$/
const ADDRESS = /^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9a-fA-F:.]{2,45}\]):([1-9][0-9]{0,4})$/
const HEADER = ['v', 'trust_domain', 'delegation', 'sequence', 'issued_at', 'expires_at', 'epoch']
const MEMBERS = [...HEADER, 'scope', 'authorities', 'anchors', 'token_keys', 'workloads', 'issued', 'denied']
/** Authorities of before have no such keys. */
const LATER_MEMBERS = ['jwt_svid_keys']

type Members = Readonly<Record<string, JsonValue>>

/** The payload bytes of one full state. Two equal states encode alike. */
export function encodeTrustState(state: TrustState): Uint8Array {
  const { denied } = state
  const document = {
    v: statementVersion,
    scope: state.scope,
    ...stateHeader(state),
    authorities: state.authorities.map(placeDocument),
    anchors: state.anchors.map(anchorDocument),
    token_keys: state.tokenKeys.map(tokenKeyDocument),
    jwt_svid_keys: state.jwtSvidKeys.map(tokenKeyDocument),
    workloads: state.workloads.map(workloadDocument),
    issued: state.issued.map(issuedDocument),
    denied: {
      identities: denied.identities.map(({ id, issuedBefore }) => ({ id, issued_before: issuedBefore })),
      serials: denied.serials,
      tokens: denied.tokens,
      authorities: denied.authorities,
    },
  }
  return utf8(JSON.stringify(document))
}

function tokenKeyDocument({ kid, state, jwk: { kty, crv, x, y } }: TokenKey): JsonObject {
  return { kid, state, jwk: { kty, crv, x, y } }
}

function placeDocument({ name, main, enrol, admin }: AuthorityPlace): JsonObject {
  return { name, main, enrol, ...(admin === undefined ? {} : { admin }) }
}

export function workloadDocument({ id, roles }: RegisteredWorkload): JsonObject {
  return { id, roles }
}

export function issuedDocument({ fingerprint, id, notAfter }: Issued): JsonObject {
  return { fingerprint, id, not_after: notAfter }
}

/** Whether a receiver would read the text as an entry of its list. */
export function readsBackAsWorkload(text: string, trustDomain: string): boolean {
  const scan = scanJson(utf8(text), LIMITS)
  return scan.ok && readWorkload(scan.value, trustDomain) !== null
}

/** Whether a receiver would read the text as an entry of its list. */
export function readsBackAsIssued(text: string, trustDomain: string): boolean {
  const scan = scanJson(utf8(text), LIMITS)
  return scan.ok && readIssued(scan.value, trustDomain) !== null
}

/** One anchor as every statement has it. */
export function anchorDocument({ keyId, state, certificate, epoch, reissue }: TrustAnchor): JsonObject {
  return { key_id: keyId, state, certificate: toBase64(certificate), epoch, reissue }
}

/** The state in payload bytes, or null when the bytes are not exactly one. Judges neither times nor order. */
export function decodeTrustState(payload: Uint8Array, sha256: Sha256): TrustState | null {
  const scan = scanJson(payload, LIMITS)
  const document = scan.ok ? exactObject(scan.value, MEMBERS, LATER_MEMBERS) : null
  if (document === null || document['v'] !== statementVersion) return null
  const header = readHeader(document)
  return header === null ? null : readLists(document, header, sha256)
}

type Header = Pick<TrustState, 'trustDomain' | 'delegation' | 'sequence' | 'issuedAt' | 'expiresAt' | 'epoch'>

/** The members that name a state, as every statement about it has them. */
export function stateHeader({ trustDomain, delegation, sequence, issuedAt, expiresAt, epoch }: Header): JsonObject {
  return { trust_domain: trustDomain, delegation, sequence, issued_at: issuedAt, expires_at: expiresAt, epoch }
}

/** Reads what `stateHeader` wrote; null when a member is missing or of another type. */
export function readHeader(document: JsonObject): Header | null {
  const { trust_domain, delegation, sequence, issued_at, expires_at, epoch } = document as Members
  if (!isText(trust_domain, 255) || !isCount(delegation) || !isCount(sequence) || !isCount(epoch)) return null
  if (!isSeconds(issued_at) || !isSeconds(expires_at) || issued_at >= expires_at) return null
  return { trustDomain: trust_domain, delegation, sequence, issuedAt: issued_at, expiresAt: expires_at, epoch }
}

function readLists(document: JsonObject, header: Header, sha256: Sha256): TrustState | null {
  const domain = header.trustDomain
  const { scope } = document
  const authorities = readList(document['authorities'], trustStateLimits.authorities, readPlace)
  const anchors = readAnchors(document['anchors'], domain, sha256)
  const tokenKeys = readList(document['token_keys'], trustStateLimits.tokenKeys, readTokenKey)
  const jwtSvidKeys = readList(document['jwt_svid_keys'] ?? [], trustStateLimits.jwtSvidKeys, readTokenKey)
  const workloads = readList(document['workloads'], trustStateLimits.workloads, (item) => readWorkload(item, domain))
  const issued = readList(document['issued'], trustStateLimits.issued, (item) => readIssued(item, domain))
  const denied = readDenials(document['denied'], domain)
  if (
    !isTrustScope(scope) ||
    authorities === null ||
    anchors === null ||
    tokenKeys === null ||
    jwtSvidKeys === null ||
    workloads === null ||
    issued === null ||
    denied === null
  )
    return null
  const unambiguous =
    distinct(authorities, ({ name }) => name) &&
    distinct([...tokenKeys, ...jwtSvidKeys], ({ kid }) => kid) &&
    distinct(workloads, ({ id }) => id) &&
    distinct(issued, ({ fingerprint }) => fingerprint)
  return unambiguous
    ? { ...header, scope, authorities, anchors, tokenKeys, jwtSvidKeys, workloads, issued, denied }
    : null
}

/** A list of anchors of the trust domain with distinct key ids, or null when one of them is none. */
export function readAnchors(
  value: JsonValue | undefined,
  trustDomain: string,
  sha256: Sha256,
): readonly TrustAnchor[] | null {
  const anchors = readList(value, trustStateLimits.anchors, (item) => readAnchor(item, trustDomain, sha256))
  return anchors !== null && distinct(anchors, ({ keyId }) => keyId) ? anchors : null
}

function readAnchor(value: JsonValue, trustDomain: string, sha256: Sha256): TrustAnchor | null {
  const item = exactObject(value, ['key_id', 'state', 'certificate', 'epoch', 'reissue'])
  if (item === null) return null
  const { key_id, state, certificate, epoch, reissue } = item as Members
  if (!isCount(epoch) || typeof reissue !== 'boolean') return null
  if (!isSlotState(state) || typeof key_id !== 'string' || !KEY_ID.test(key_id) || typeof certificate !== 'string')
    return null
  const der = fromBase64(certificate)
  const read = der === null ? null : readCertificate(der, { sha256 })
  if (der === null || read === null || 'problem' in read) return null
  const fits = read.isCa && read.subjectKeyId === key_id && read.spiffeId?.uri === `spiffe://${trustDomain}`
  return fits ? { keyId: key_id, state, certificate: der, epoch, reissue } : null
}

function readPlace(value: JsonValue): AuthorityPlace | null {
  const item = exactObject(value, ['name', 'main', 'enrol'], ['admin'])
  if (item === null) return null
  const { name, main, enrol, admin } = item as Readonly<Record<string, JsonValue | undefined>>
  if (!isText(name, trustStateLimits.nameLength) || !isAddress(main) || !isAddress(enrol)) return null
  if (admin === undefined) return { name, main, enrol }
  return isAddress(admin) ? { name, main, enrol, admin } : null
}

/** `host:port`, an IPv6 address in brackets. */
function isAddress(value: JsonValue | undefined): value is string {
  return typeof value === 'string' && value.length <= 300 && Number(ADDRESS.exec(value)?.[1] ?? '65536') <= 65_535
}

function readTokenKey(value: JsonValue): TokenKey | null {
  const item = exactObject(value, ['kid', 'state', 'jwk'])
  if (item === null) return null
  const { kid, state } = item as Members
  const jwk = readP256Jwk(item['jwk'])
  return jwk !== null && isText(kid, trustStateLimits.nameLength) && isSlotState(state) ? { kid, state, jwk } : null
}

function readWorkload(value: JsonValue, trustDomain: string): RegisteredWorkload | null {
  const item = exactObject(value, ['id', 'roles'])
  const id = item?.['id']
  const roles = readList(item?.['roles'], trustStateLimits.rolesPerWorkload, readName)
  return isWorkloadId(id, trustDomain) && roles !== null ? { id, roles } : null
}

function readIssued(value: JsonValue, trustDomain: string): Issued | null {
  const item = exactObject(value, ['fingerprint', 'id', 'not_after'])
  if (item === null) return null
  const { fingerprint, id, not_after } = item as Members
  const fits =
    typeof fingerprint === 'string' &&
    FINGERPRINT.test(fingerprint) &&
    isWorkloadId(id, trustDomain) &&
    isSeconds(not_after)
  return fits ? { fingerprint, id, notAfter: not_after } : null
}

function readDenials(value: JsonValue | undefined, trustDomain: string): Denials | null {
  const item = exactObject(value, ['identities', 'serials', 'tokens', 'authorities'])
  if (item === null) return null
  const limit = trustStateLimits.denied
  const identities = readList(item['identities'], limit, (one) => readDeniedIdentity(one, trustDomain))
  const serials = readList(item['serials'], limit, (one) => (typeof one === 'string' && SERIAL.test(one) ? one : null))
  const tokens = readList(item['tokens'], limit, readName)
  const authorities = readList(item['authorities'], limit, readName)
  if (identities === null || serials === null || tokens === null || authorities === null) return null
  return distinct(identities, ({ id }) => id) ? { identities, serials, tokens, authorities } : null
}

function readDeniedIdentity(value: JsonValue, trustDomain: string): DeniedIdentity | null {
  const item = exactObject(value, ['id', 'issued_before'])
  const id = item?.['id']
  const issuedBefore = item?.['issued_before']
  const named = isWorkloadId(id, trustDomain) || (typeof id === 'string' && readUserName(id) !== null)
  return named && isSeconds(issuedBefore) ? { id, issuedBefore } : null
}

function readName(value: JsonValue): string | null {
  return isText(value, trustStateLimits.nameLength) ? value : null
}

export function isTrustScope(value: JsonValue | undefined): value is TrustScope {
  return value === 'full' || value === 'callers'
}

function isSlotState(value: JsonValue | undefined): value is SlotState {
  return typeof value === 'string' && STATES.includes(value)
}

function isWorkloadId(value: JsonValue | undefined, trustDomain: string): value is string {
  const id = typeof value === 'string' ? readSpiffeId(value) : null
  return id !== null && !('problem' in id) && id.trustDomain === trustDomain && id.segments.length > 0
}
