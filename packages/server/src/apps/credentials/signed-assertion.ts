/** A short statement of the gateway's own to a provider: a JWT that is signed with a key from a secret (RFC 7523 §3). */

import { createPrivateKey, sign } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { DoorwardError, toBase64url, utf8 } from '@doorward/core'
import type { JsonObject, Secret } from '@doorward/core'
import { randomBytes } from '@doorward/sdk'

export interface Assertion {
  readonly issuer: string
  readonly subject: string
  readonly audience: string
  /** `kid`; null for none. */
  readonly keyId: string | null
  readonly nowSeconds: number
  /** Beside the registered claims. */
  readonly more?: JsonObject
}

const LIFE_SECONDS = 60

/** Good for a minute, under an id of its own. Throws `client_key_invalid` for a secret that is no private key. */
export function signAssertion(
  secret: Secret,
  { issuer, subject, audience, keyId, nowSeconds, more }: Assertion,
): string {
  const key = keyOf(secret)
  const alg = algorithmOf(key)
  const header = { alg, typ: 'JWT', ...(keyId === null ? {} : { kid: keyId }) }
  const claims = {
    ...more,
    iss: issuer,
    sub: subject,
    aud: audience,
    jti: toBase64url(randomBytes(16)),
    iat: nowSeconds,
    exp: nowSeconds + LIFE_SECONDS,
  }
  const signed = [header, claims].map((part) => toBase64url(utf8(JSON.stringify(part)))).join('.')
  const digest = alg === 'EdDSA' ? null : 'sha256'
  const signature = sign(digest, utf8(signed), { key, dsaEncoding: 'ieee-p1363' })
  return `${signed}.${toBase64url(new Uint8Array(signature))}`
}

function keyOf(secret: Secret): KeyObject {
  try {
    return createPrivateKey(secret.reveal())
  } catch {
    throw keyInvalid('something else')
  }
}

function algorithmOf({
  asymmetricKeyType: type,
  asymmetricKeyDetails: details,
}: KeyObject): 'ES256' | 'EdDSA' | 'RS256' {
  if (type === 'ec' && details?.namedCurve === 'prime256v1') return 'ES256'
  if (type === 'ed25519') return 'EdDSA'
  if (type === 'rsa' && (details?.modulusLength ?? 0) >= 2048) return 'RS256'
  throw keyInvalid(String(type))
}

function keyInvalid(got: string): DoorwardError {
  return new DoorwardError('client_key_invalid', 'the secret is no key that assertions are signed with', {
    expected: 'a private key in PEM: P-256, Ed25519, or RSA of 2048 bits or more',
    got,
  })
}
