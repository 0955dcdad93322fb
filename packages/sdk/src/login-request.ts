/** Signing in at the authority: an ID token becomes the identity of a person, for this workload and one key. */

import type { KeyObject } from 'node:crypto'
import { DoorwardError, isSeconds, isText, Secret, toSeconds } from '@doorward/core'
import type { Identity } from './identity.ts'
import { readJsonBody } from './https-exchange.ts'
import { signedLoginProof, userIn } from './login.ts'
import type { Login } from './login.ts'
import { readRefusal, refusalError } from './refusal.ts'

export interface LoginRequest {
  /** Made by the provider for the nonce of `key` and `random` (`loginNonce`). */
  readonly idToken: Secret
  readonly random: string
  /** P-256. */
  readonly key: KeyObject
  readonly signal?: AbortSignal
}

/** Throws `ServerRefused` with the authority's code, `response_invalid`, and as `Identity.callAuthority`. */
export async function requestLogin(identity: Identity, request: LoginRequest): Promise<Login> {
  const { idToken, random, key, signal } = request
  const token = idToken.reveal()
  const proof = await signedLoginProof(
    key,
    {
      use: 'login',
      certificateFingerprint: identity.credentials.current().fingerprint,
      audience: identity.authorityUrl,
      token,
    },
    toSeconds(identity.trust.now()),
  )
  const response = await identity.callAuthority('/v1/login', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ id_token: token, random, proof }),
    ...(signal === undefined ? {} : { signal }),
  })
  if (response.status !== 200) throw refusalError(await readRefusal(response), 'the sign-in')
  const body = await readJsonBody(response, 65_536)
  const { user_identity: text, expires_at: expires } = body
  const user = userIn(body['user'])
  if (isText(text, 8192) && isSeconds(expires) && user !== null)
    return { user, expires, identity: new Secret(text), key }
  throw new DoorwardError('response_invalid', 'the answer to the sign-in cannot be used', {
    expected: 'user_identity, expires_at and user',
  })
}
