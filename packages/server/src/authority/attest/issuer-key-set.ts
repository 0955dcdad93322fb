/** The keys of a platform's issuer: a JWK Set (RFC 7517 §5), of which only public signature keys of accepted algorithms count. */

import { createPublicKey, verify } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { DoorwardError, isJsonObject, isText, member, scanJson } from '@doorward/core'
import type { JsonObject, JsonValue, PlatformAlgorithm, VerifyKey } from '@doorward/core'

export const issuerKeySetBytes = 65_536
const LIMITS = { maxBytes: issuerKeySetBytes, maxDepth: 8, maxKeys: 4096 }
const MAX_KEYS = 64
const MAX_KID = 256
const rsaBits = { least: 2048, most: 4096 }
const ES256_BYTES = 64
const PRIVATE_MEMBERS = ['d', 'k', 'p', 'q']

/** By `keyName`. */
export type IssuerKeySet = ReadonlyMap<string, VerifyKey>

/** Algorithm and key id together: a key is good for one algorithm. */
export function keyName(algorithm: PlatformAlgorithm, kid: string): string {
  return `${algorithm} ${kid}`
}

interface AlgorithmRow {
  /** The members that make the public key. */
  readonly members: readonly string[]
  readonly fits: (jwk: JsonObject) => boolean
  readonly accepts: (key: KeyObject) => boolean
  readonly verify: (key: KeyObject, data: Uint8Array, signature: Uint8Array) => boolean
}

const algorithmRows: Readonly<Record<PlatformAlgorithm, AlgorithmRow>> = {
  RS256: {
    members: ['kty', 'n', 'e'],
    fits: (jwk) => member(jwk, 'kty') === 'RSA',
    accepts: ({ asymmetricKeyDetails: { modulusLength = 0, publicExponent = 0n } = {} }) =>
      modulusLength >= rsaBits.least &&
      modulusLength <= rsaBits.most &&
      publicExponent >= 3n &&
      publicExponent < 2n ** 32n,
    verify: (key, data, signature) => verify('sha256', data, key, signature),
  },
  ES256: {
    members: ['kty', 'crv', 'x', 'y'],
    fits: (jwk) => member(jwk, 'kty') === 'EC' && member(jwk, 'crv') === 'P-256',
    accepts: () => true,
    verify: (key, data, signature) =>
      signature.length === ES256_BYTES && verify('sha256', data, { key, dsaEncoding: 'ieee-p1363' }, signature),
  },
  EdDSA: {
    members: ['kty', 'crv', 'x'],
    fits: (jwk) => member(jwk, 'kty') === 'OKP' && member(jwk, 'crv') === 'Ed25519',
    accepts: () => true,
    verify: (key, data, signature) => verify(null, data, key, signature),
  },
}

/**
 * Reads a JWK Set of at most 64 KiB and 64 keys. Keys of other kinds, uses and algorithms, and those without a key id
 * are left out. Throws `issuer_keys_invalid` for what is no JWK Set, holds a private key or two keys of one id, or has
 * no key that counts.
 */
export function readIssuerKeySet(bytes: Uint8Array, algorithms: readonly PlatformAlgorithm[]): IssuerKeySet {
  const scan = scanJson(bytes, LIMITS)
  const keys = scan.ok && isJsonObject(scan.value) ? member(scan.value, 'keys') : undefined
  if (!Array.isArray(keys) || keys.length > MAX_KEYS) throw invalid('a JWK Set', 'something else')
  const set = new Map<string, VerifyKey>()
  for (const jwk of keys as readonly JsonValue[]) {
    if (!isJsonObject(jwk)) throw invalid('keys as objects', 'something else')
    if (PRIVATE_MEMBERS.some((name) => Object.hasOwn(jwk, name))) throw invalid('public keys', 'a private key')
    const kid = member(jwk, 'kid')
    const read = readKey(jwk, algorithms)
    if (read === null || !isText(kid, MAX_KID)) continue
    const name = keyName(read.algorithm, kid)
    if (set.has(name)) throw invalid('each key id once', 'two keys of one id')
    set.set(name, read.key)
  }
  if (set.size === 0) throw invalid(`a key for ${algorithms.join(' or ')}`, 'none')
  return set
}

function readKey(
  jwk: JsonObject,
  algorithms: readonly PlatformAlgorithm[],
): { readonly algorithm: PlatformAlgorithm; readonly key: VerifyKey } | null {
  const algorithm = algorithms.find((name) => algorithmRows[name].fits(jwk))
  if (algorithm === undefined || (member(jwk, 'alg') ?? algorithm) !== algorithm) return null
  if ((member(jwk, 'use') ?? 'sig') !== 'sig') return null
  const row = algorithmRows[algorithm]
  const imported = importKey(jwk, row)
  return imported === null ? null : { algorithm, key: verifyKeyOf(imported, row) }
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
