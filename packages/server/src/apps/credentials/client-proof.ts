/** How the gateway proves itself at a token endpoint: RFC 6749 §2.3.1, or a signed assertion (RFC 7523 §2.2). */

import { createPrivateKey, sign } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { DoorwardError, toBase64url, utf8 } from '@doorward/core'
import type { Secret } from '@doorward/core'
import { randomBytes } from '@doorward/sdk'
import type { ClientAuth } from '../../config/secret-settings.ts'
import { basic } from '../../transports/introspection-request.ts'
import type { ClientProof } from '../../transports/token-request.ts'

export interface ProofWish {
  readonly clientId: string
  readonly auth: ClientAuth
  readonly keyId: string | null
  readonly audience: string
  readonly nowSeconds: number
}

/** Throws `client_key_invalid` for a secret that is no private key where one is wanted. */
export function clientProof(secret: Secret, { auth, clientId, ...wish }: ProofWish): ClientProof {
  switch (auth) {
    case 'basic':
      return { form: {}, headers: { authorization: basic(clientId, secret.reveal()) } }
    case 'post':
      return { form: { client_id: clientId, client_secret: secret.reveal() }, headers: {} }
    case 'private_key_jwt':
      return {
        form: {
          client_id: clientId,
          client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
          client_assertion: assertion(secret, { clientId, ...wish }),
        },
        headers: {},
      }
  }
}

const LIFE_SECONDS = 60

function assertion(secret: Secret, { clientId, keyId, audience, nowSeconds }: Omit<ProofWish, 'auth'>): string {
  const key = keyOf(secret)
  const alg = algorithmOf(key)
  const header = { alg, typ: 'JWT', ...(keyId === null ? {} : { kid: keyId }) }
  const claims = {
    iss: clientId,
    sub: clientId,
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
