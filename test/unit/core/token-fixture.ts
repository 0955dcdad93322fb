import { sign } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { chainClaim, epochClaim, epochSeconds, keySetOf, toBase64url, utf8, verifyToken } from '@doorward/core'
import type { AccessTokenClaims, ChainLink, TokenCheck } from '@doorward/core'
import { generateP256, importP256 } from '@doorward/sdk'
import type { P256KeyPair } from '@doorward/sdk'

export const now = epochSeconds(1_800_000_000)
export const fingerprint = 'A'.repeat(42) + 'E'
export const kid = 'token-key-1'

export const goodHeader = { alg: 'ES256', typ: 'at+jwt', kid }
export const goodClaims: AccessTokenClaims = {
  iss: 'https://authority.example.org:8446',
  sub: 'spiffe://example.org/agent/planner',
  aud: 'https://mcp.example.org:8443/mcp/files',
  iat: now,
  nbf: epochSeconds(now - 60),
  exp: epochSeconds(now + 300),
  jti: 'mZ0c2b3a4f5e6d7c8b9a0f',
  client_id: 'spiffe://example.org/agent/planner',
  cnf: { 'x5t#S256': fingerprint },
  [epochClaim]: 7,
}

export interface Signer {
  readonly key: P256KeyPair
  readonly check: TokenCheck
}

export async function makeSigner(): Promise<Signer> {
  const key = await generateP256()
  const keys = keySetOf([{ kid, state: 'active', jwk: key.jwk }], importP256)
  const expect = {
    issuer: goodClaims.iss,
    audience: goodClaims.aud,
    trustDomain: 'example.org',
    certificateFingerprint: fingerprint,
    epoch: 7,
  }
  return { key, check: { expect, keys, now } }
}

/** Signs whatever text stands in header and payload. */
export function forge(header: string | object, payload: string | object | Uint8Array, key: KeyObject): string {
  const part = (value: string | object | Uint8Array) =>
    toBase64url(value instanceof Uint8Array ? value : utf8(typeof value === 'string' ? value : JSON.stringify(value)))
  const input = `${part(header)}.${part(payload)}`
  return `${input}.${toBase64url(new Uint8Array(sign('sha256', utf8(input), { key, dsaEncoding: 'ieee-p1363' })))}`
}

/** `accepted` or the code. */
export function verdictOf(token: string, check: TokenCheck): string {
  const verdict = verifyToken(token, check)
  return verdict.ok ? 'accepted' : verdict.code
}

/** The presenter, acting through `depth - 1` others. */
export const actChain = (depth: number, at = 1): object => ({
  sub: at === 1 ? goodClaims.client_id : `spiffe://example.org/agent/actor-${at}`,
  ...(depth > at ? { act: actChain(depth, at + 1) } : {}),
})

/** The stamp of so many exchanges, nearest first. */
export const chainOf = (hops: number): readonly ChainLink[] =>
  Array.from({ length: hops }, (_, i) => ({
    jti: `token-${i}`,
    iat: now,
    kid,
    serial: `0${i + 1}`,
    anchor: 'a0',
  }))

/** Claims of a call on behalf of another workload, `depth` exchanges later. */
export const delegated = (change: object, depth = 1) => ({
  sub: 'spiffe://example.org/agent/other',
  act: actChain(depth),
  [chainClaim]: chainOf(depth),
  ...change,
})
