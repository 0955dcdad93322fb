/** The keys of an issuer that is not ours: a JWK Set (RFC 7517 §5), of which only public signature keys of accepted algorithms count. */

import { constants, createPublicKey, verify } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { DoorwardError, isJsonObject, isText, member, scanJson } from '@doorward/core'
import type { JsonObject, JsonValue, IssuerAlgorithm, VerifyKey } from '@doorward/core'

export const issuerKeySetBytes = 65_536
const LIMITS = { maxBytes: issuerKeySetBytes, maxDepth: 8, maxKeys: 4096 }
const MAX_KEYS = 64
const MAX_KID = 256
const rsaBits = { least: 2048, most: 4096 }
const ES256_BYTES = 64
const ES384_BYTES = 96
const PRIVATE_MEMBERS = ['d', 'k', 'p', 'q']
const RSA_MEMBERS = ['kty', 'n', 'e']
const EC_MEMBERS = ['kty', 'crv', 'x', 'y']

/** By `keyName`. */
export type IssuerKeySet = ReadonlyMap<string, VerifyKey>

/** Algorithm and key id together: a key that names its algorithm is good for that one alone. */
export function keyName(algorithm: IssuerAlgorithm, kid: string): string {
  return `${algorithm} ${kid}`
}

interface AlgorithmRow {
  /** The members that make the public key. */
  readonly members: readonly string[]
  readonly fits: (jwk: JsonObject) => boolean
  readonly accepts: (key: KeyObject) => boolean
  readonly verify: (key: KeyObject, data: Uint8Array, signature: Uint8Array) => boolean
}

const isRsa = (jwk: JsonObject) => member(jwk, 'kty') === 'RSA'
const isOn = (kty: string, crv: string) => (jwk: JsonObject) => member(jwk, 'kty') === kty && member(jwk, 'crv') === crv

function fitRsa({ asymmetricKeyDetails: { modulusLength = 0, publicExponent = 0n } = {} }: KeyObject): boolean {
  const sized = modulusLength >= rsaBits.least && modulusLength <= rsaBits.most
  return sized && publicExponent >= 3n && publicExponent < 2n ** 32n
}

function ecdsa(hash: string, bytes: number): AlgorithmRow['verify'] {
  return (key, data, signature) =>
    signature.length === bytes && verify(hash, data, { key, dsaEncoding: 'ieee-p1363' }, signature)
}

const pss = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST }

const algorithmRows: Readonly<Record<IssuerAlgorithm, AlgorithmRow>> = {
  RS256: {
    members: RSA_MEMBERS,
    fits: isRsa,
    accepts: fitRsa,
    verify: (key, data, signature) => verify('sha256', data, key, signature),
  },
  PS256: {
    members: RSA_MEMBERS,
    fits: isRsa,
    accepts: fitRsa,
    verify: (key, data, signature) => verify('sha256', data, { key, ...pss }, signature),
  },
  ES256: {
    members: EC_MEMBERS,
    fits: isOn('EC', 'P-256'),
    accepts: () => true,
    verify: ecdsa('sha256', ES256_BYTES),
  },
  ES384: {
    members: EC_MEMBERS,
    fits: isOn('EC', 'P-384'),
    accepts: () => true,
    verify: ecdsa('sha384', ES384_BYTES),
  },
  EdDSA: {
    members: ['kty', 'crv', 'x'],
    fits: isOn('OKP', 'Ed25519'),
    accepts: () => true,
    verify: (key, data, signature) => verify(null, data, key, signature),
  },
}

/**
 * Reads a JWK Set of at most 64 KiB and 64 keys. Keys of other kinds, uses and algorithms, and those without a key id
 * are left out. Throws `issuer_keys_invalid` for what is no JWK Set, holds a private key or two keys of one id, or has
 * no key that counts.
 */
export function readIssuerKeySet(bytes: Uint8Array, algorithms: readonly IssuerAlgorithm[]): IssuerKeySet {
  const scan = scanJson(bytes, LIMITS)
  const keys = scan.ok && isJsonObject(scan.value) ? member(scan.value, 'keys') : undefined
  if (!Array.isArray(keys) || keys.length > MAX_KEYS) throw invalid('a JWK Set', 'something else')
  const set = new Map<string, VerifyKey>()
  for (const jwk of keys as readonly JsonValue[]) {
    if (!isJsonObject(jwk)) throw invalid('keys as objects', 'something else')
    if (PRIVATE_MEMBERS.some((name) => Object.hasOwn(jwk, name))) throw invalid('public keys', 'a private key')
    const kid = member(jwk, 'kid')
    if (!isText(kid, MAX_KID)) continue
    for (const { algorithm, key } of readKey(jwk, algorithms)) {
      const name = keyName(algorithm, kid)
      if (set.has(name)) throw invalid('each key id once', 'two keys of one id')
      set.set(name, key)
    }
  }
  if (set.size === 0) throw invalid(`a key for ${algorithms.join(' or ')}`, 'none')
  return set
}

/** For each accepted algorithm that the key fits and does not contradict. */
function readKey(
  jwk: JsonObject,
  algorithms: readonly IssuerAlgorithm[],
): readonly { readonly algorithm: IssuerAlgorithm; readonly key: VerifyKey }[] {
  if ((member(jwk, 'use') ?? 'sig') !== 'sig') return []
  const fitting = algorithms.filter((name) => algorithmRows[name].fits(jwk) && (member(jwk, 'alg') ?? name) === name)
  return fitting.flatMap((algorithm) => {
    const row = algorithmRows[algorithm]
    const imported = importKey(jwk, row)
    return imported === null ? [] : [{ algorithm, key: verifyKeyOf(imported, row) }]
  })
}

/** A key that somebody shows, for one algorithm; null where it does not fit, or is too small or too large. */
export function importIssuerKey(algorithm: IssuerAlgorithm, jwk: JsonObject): VerifyKey | null {
  const row = algorithmRows[algorithm]
  const key = row.fits(jwk) ? importKey(jwk, row) : null
  return key === null ? null : verifyKeyOf(key, row)
}

function importKey(jwk: JsonObject, { members, accepts }: AlgorithmRow): KeyObject | null {
  try {
    const values = members.map((name) => [name, member(jwk, name)] as const)
    if (!values.every((value): value is [string, string] => typeof value[1] === 'string')) return null
    const key = createPublicKey({ key: Object.fromEntries(values), format: 'jwk' })
    return accepts(key) ? key : null
  } catch {
    return null
  }
}

function verifyKeyOf(key: KeyObject, row: AlgorithmRow): VerifyKey {
  return {
    verify: (data, signature) => {
      try {
        return row.verify(key, data, signature)
      } catch {
        return false
      }
    },
  }
}

function invalid(expected: string, got: string): DoorwardError {
  return new DoorwardError('issuer_keys_invalid', 'the keys of the issuer cannot be used', { expected, got })
}
