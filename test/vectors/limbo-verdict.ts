/**
 * One x509-limbo case judged by our certification path: the part of our verifier that knows no SPIFFE. Names, purposes and
 * revocation lists, which the case asks for and the SVID profile does not, are compared as the reader gives them.
 */

import {
  chainsToAnchor,
  checkCrl,
  checkEndEntity,
  checkSvidLeaf,
  epochSeconds,
  equalBytes,
  issuerOf,
  readCertificate,
  readCrl,
} from '@doorward/core'
import type { EpochSeconds, PeerCertificate } from '@doorward/core'
import { importP256, sha256 } from '@doorward/sdk'

export interface PeerName {
  readonly kind: string
  readonly value: string
}

export interface LimboCase {
  readonly id: string
  readonly validation_kind: 'SERVER' | 'CLIENT'
  /** PEM, as the two below. */
  readonly trusted_certs: readonly string[]
  readonly untrusted_intermediates: readonly string[]
  readonly peer_certificate: string
  readonly crls: readonly string[]
  /** RFC 3339; null is now. */
  readonly validation_time: string | null
  readonly signature_algorithms: readonly string[]
  readonly key_usage: readonly string[]
  readonly extended_key_usage: readonly string[]
  readonly expected_result: 'SUCCESS' | 'FAILURE'
  readonly expected_peer_name: PeerName | null
  readonly expected_peer_names: readonly PeerName[]
}

/** The code that refuses the leaf; null when it is accepted. The intermediates of the case are never looked at. */
export function pathVerdict(limbo: LimboCase): string | null {
  const leaf = readCertificate(derOf(limbo.peer_certificate), { sha256 })
  if ('problem' in leaf) return leaf.problem
  const unfit = checkEndEntity(leaf)
  if (unfit !== null) return unfit.code
  const now = timeOf(limbo)
  const issuer = issuerOf(leaf, anchorsOf(limbo), now, importP256)
  if ('code' in issuer) return issuer.code
  return demanded(limbo, leaf) ?? revocation(limbo, leaf, issuer, now)
}

/** The same by the whole verifier. No case is an SVID, so none may be accepted. */
export function svidVerdict(limbo: LimboCase): string | null {
  const leaf = readCertificate(derOf(limbo.peer_certificate), { sha256 })
  if ('problem' in leaf) return leaf.problem
  const profile = checkSvidLeaf(leaf, leaf.spiffeId?.trustDomain ?? 'example.org')
  if (profile !== null) return profile.code
  const anchor = chainsToAnchor(leaf, anchorsOf(limbo), timeOf(limbo), importP256)
  return 'code' in anchor ? anchor.code : null
}

function derOf(pem: string): Uint8Array {
  return new Uint8Array(Buffer.from(pem.replaceAll(/-----[^-]+-----|\s/g, ''), 'base64'))
}

/** What cannot be read is no anchor. */
function anchorsOf({ trusted_certs }: LimboCase): readonly PeerCertificate[] {
  return trusted_certs.flatMap((pem) => {
    const anchor = readCertificate(derOf(pem), { sha256 })
    return 'problem' in anchor ? [] : [anchor]
  })
}

/** Times count in whole seconds, as certificates do. */
function timeOf({ validation_time }: LimboCase): EpochSeconds {
  return epochSeconds((validation_time === null ? Date.now() : Date.parse(validation_time)) / 1000)
}

const PURPOSES: Readonly<Record<string, string>> = { serverAuth: '1.3.6.1.5.5.7.3.1', clientAuth: '1.3.6.1.5.5.7.3.2' }

function demanded(limbo: LimboCase, { extensions, dnsNames, ipAddresses }: PeerCertificate): string | null {
  const { signature_algorithms: algorithms, key_usage: usages, expected_peer_name: name } = limbo
  if (algorithms.length > 0 && !algorithms.includes('ECDSA_WITH_SHA256')) return 'algorithm_unsupported'
  if (usages.some((usage) => usage !== 'digitalSignature')) return 'key_usage_unsupported'
  if (usages.length > 0 && extensions.keyUsage?.digitalSignature === false) return 'key_usage'
  const wanted = [limbo.validation_kind === 'SERVER' ? 'serverAuth' : 'clientAuth', ...limbo.extended_key_usage]
  const listed = extensions.extendedKeyUsage
  // As the profile has it: purposes are listed, and there are no others than these two.
  if (listed === null || !listed.every((purpose) => Object.values(PURPOSES).includes(purpose))) return 'purposes'
  if (!wanted.every((purpose) => listed.includes(PURPOSES[purpose] ?? purpose))) return 'purposes'
  const names = [...(name === null ? [] : [name]), ...limbo.expected_peer_names]
  return names.map((one) => nameProblem(one, { dnsNames, ipAddresses })).find((problem) => problem !== null) ?? null
}

function nameProblem(
  { kind, value }: PeerName,
  { dnsNames, ipAddresses }: Pick<PeerCertificate, 'dnsNames' | 'ipAddresses'>,
): string | null {
  if (kind === 'IP') return ipAddresses.map(canonical).includes(canonical(value)) ? null : 'name'
  if (kind !== 'DNS') return 'name_kind'
  if (dnsNames.some((name) => name.toLowerCase() === value.toLowerCase())) return null
  return dnsNames.some((name) => name.startsWith('*')) ? 'name_wildcard' : 'name'
}

function canonical(address: string): string {
  return new URL(`http://${address.includes(':') ? `[${address}]` : address}`).hostname
}

/** A list of the issuer that is wrong in any way leaves it open what is revoked. Lists of others say nothing here. */
function revocation(
  { crls }: LimboCase,
  leaf: PeerCertificate,
  issuer: PeerCertificate,
  now: EpochSeconds,
): string | null {
  for (const pem of crls) {
    const list = readCrl(derOf(pem))
    if ('code' in list) return list.code
    if (!equalBytes(list.issuerName, issuer.subjectName) || list.authorityKeyId !== issuer.subjectKeyId) continue
    const wrong = checkCrl(list, issuer, now, importP256)
    if (wrong !== null) return wrong.code
    if (list.revoked.has(leaf.serial)) return 'revoked'
  }
  return null
}
