/** How the gateway proves itself at a token endpoint: RFC 6749 §2.3.1, or a signed assertion (RFC 7523 §2.2). */

import type { Secret } from '@doorward/core'
import type { ClientAuth } from '../../config/secret-settings.ts'
import { basic } from '../../transports/introspection-request.ts'
import type { ClientProof } from '../../transports/token-request.ts'
import { signAssertion } from './signed-assertion.ts'

export interface ProofWish {
  readonly clientId: string
  readonly auth: ClientAuth
  readonly keyId: string | null
  readonly audience: string
  readonly nowSeconds: number
}

/** One without a secret says who it is, and proves nothing. */
export function publicClient(clientId: string): ClientProof {
  return { form: { client_id: clientId }, headers: {} }
}

export function secretProof(secret: Secret, clientId: string, auth: 'basic' | 'post'): ClientProof {
  return auth === 'basic'
    ? { form: {}, headers: { authorization: basic(clientId, secret.reveal()) } }
    : { form: { client_id: clientId, client_secret: secret.reveal() }, headers: {} }
}

/** Throws `client_key_invalid` for a secret that is no private key where one is wanted. */
export function clientProof(secret: Secret, { auth, clientId, keyId, audience, nowSeconds }: ProofWish): ClientProof {
  if (auth !== 'private_key_jwt') return secretProof(secret, clientId, auth)
  const said = { issuer: clientId, subject: clientId, audience, keyId, nowSeconds }
  return {
    form: {
      client_id: clientId,
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: signAssertion(secret, said),
    },
    headers: {},
  }
}
