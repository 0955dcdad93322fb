/** How a workload may prove who it is when it joins, as operators write it (reference ids BS-1 … BS-3). */

import type { JsonObject, JsonValue } from '../json-value.ts'
import { isJsonObject } from '../json/object.ts'
import { inside, readKeys, readText, refuseValue } from './document-reader.ts'
import type { Place, TextRule } from './document-reader.ts'

/** Which certificate of a set of anchors: by its SHA-256 or by one of its names. */
export type CertificateEntry =
  | { readonly fingerprint: string }
  | { readonly dns: string }
  | { readonly uri: string }
  | { readonly common_name: string }

export type AttestationEntry =
  /** A single-use token in a join string. */
  | { readonly join_token: true }
  /** RFC 7638 thumbprint of a machine key that is known beforehand. */
  | { readonly bound_key: string }
  /** Possession of a certificate of a configured set of anchors. */
  | { readonly x509_pop: { readonly anchors: string } & CertificateEntry }
  /** A token of a configured platform with at least these claims, each exactly so. */
  | { readonly oidc: { readonly issuer: string; readonly claims: Readonly<Record<string, string>> } }

export const dnsNameRule: TextRule = {
  read: (text) => (DNS_NAME.test(text) ? text : null),
  message: 'not a DNS name',
  expected: 'lowercase labels such as files.acme.example, without wildcard',
}

const DNS_NAME = /^(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$/
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/
const MAX_CLAIMS = 16
const MAX_CLAIM_NAME = 128
const MAX_CLAIM_VALUE = 1024

function pattern(expression: RegExp, message: string, expected: string): TextRule {
  return { read: (text) => (expression.test(text) ? text : null), message, expected }
}

const thumbprint = pattern(/^[A-Za-z0-9_-]{43}$/, 'not a thumbprint', '43 characters of base64url (RFC 7638, SHA-256)')
const fingerprint = pattern(/^[0-9a-f]{64}$/, 'not a fingerprint', '64 lowercase hex digits (SHA-256)')
const configured = pattern(NAME, 'not a name', 'a name from the configuration')
// oxlint-disable-next-line no-control-regex -- what the certificate may not hold either
const commonName = pattern(/^[^\u0000-\u001f\u007f]{1,64}$/, 'not a common name', '1 to 64 characters')
const uri = pattern(/^[a-z][a-z0-9+.-]*:[\u0021-\u007e]{1,2000}$/, 'not a URI', 'a URI with its scheme')

const certificateNames: Readonly<Record<string, TextRule>> = {
  fingerprint,
  dns: dnsNameRule,
  uri,
  common_name: commonName,
}
const ways = 'exactly one of join_token, bound_key, x509_pop, oidc'

/** Null with at least one problem at the place. */
export function readAttestation(place: Place, value: JsonValue): AttestationEntry | null {
  const before = place.problems.length
  const entry = isJsonObject(value) ? readWay(place, value) : refuseValue(place, 'wrong type', ways, value)
  return place.problems.length === before ? entry : null
}

function readWay(place: Place, value: JsonObject): AttestationEntry | null {
  const [name = '', ...more] = Object.keys(value)
  if (more.length > 0) return refuseValue(place, 'several ways in one entry', ways, undefined)
  const given = value[name]
  const at = inside(place, name)
  switch (name) {
    case 'join_token':
      return given === true ? { join_token: true } : refuseValue(at, 'wrong value', 'true', given)
    case 'bound_key':
      return { bound_key: readText(at, given, thumbprint) }
    case 'x509_pop':
      return readCertificateWay(at, given)
    case 'oidc':
      return readTokenWay(at, given)
    default:
      return refuseValue(name === '' ? place : at, name === '' ? 'empty' : 'unknown way', ways, undefined)
  }
}

function readCertificateWay(place: Place, value: JsonValue | undefined): AttestationEntry | null {
  const keys = readKeys(place, value, ['anchors'], Object.keys(certificateNames))
  if (keys === null) return null
  const anchors = readText(inside(place, 'anchors'), keys['anchors'], configured)
  const [name, ...more] = Object.keys(keys).filter((key) => Object.hasOwn(certificateNames, key))
  if (name === undefined || more.length > 0)
    return refuseValue(
      place,
      'which certificate?',
      `exactly one of ${Object.keys(certificateNames).join(', ')}`,
      undefined,
    )
  const certificate = { [name]: readText(inside(place, name), keys[name], certificateNames[name]!) } as CertificateEntry
  return { x509_pop: { anchors, ...certificate } }
}

function readTokenWay(place: Place, value: JsonValue | undefined): AttestationEntry | null {
  const keys = readKeys(place, value, ['issuer', 'claims'])
  if (keys === null) return null
  const issuer = readText(inside(place, 'issuer'), keys['issuer'], configured)
  const claims = readClaims(inside(place, 'claims'), keys['claims'])
  return claims === null ? null : { oidc: { issuer, claims } }
}

/** Without a claim anybody of that issuer would be this workload. */
function readClaims(place: Place, value: JsonValue | undefined): Readonly<Record<string, string>> | null {
  if (value === undefined) return null
  if (!isJsonObject(value)) return refuseValue(place, 'wrong type', 'a map of claims to texts', value)
  const names = Object.keys(value).toSorted()
  if (names.length === 0 || names.length > MAX_CLAIMS)
    return refuseValue(place, 'too few or too many', `1 to ${MAX_CLAIMS} claims`, names.length)
  return Object.fromEntries(names.map((name) => [name, readClaim(place, name, value[name])]))
}

function readClaim(place: Place, name: string, claim: JsonValue | undefined): string {
  if (name === '' || name === '__proto__' || name.length > MAX_CLAIM_NAME)
    refuseValue(place, 'not a claim', `a name of 1 to ${MAX_CLAIM_NAME} characters`, name)
  else if (typeof claim === 'string' && claim.length > 0 && claim.length <= MAX_CLAIM_VALUE) return claim
  else refuseValue(inside(place, name), 'wrong value', `text of 1 to ${MAX_CLAIM_VALUE} characters`, claim)
  return ''
}
