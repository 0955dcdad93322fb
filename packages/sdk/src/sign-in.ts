/** A person signs in at a program of theirs: the provider vouches for a key that this program has just made. */

import type { KeyObject } from 'node:crypto'
import { loginNonce, toBase64url } from '@doorward/core'
import type { Secret } from '@doorward/core'
import type { Identity } from './identity.ts'
import type { LoginStore, SignedInUser } from './login.ts'
import { requestLogin } from './login-request.ts'
import { jwkThumbprint, randomBytes, sha256 } from './platform/hash.ts'
import { generateP256 } from './platform/p256.ts'

/** Has the provider sign the person in with this `nonce` (OpenID Connect Core §3.1.2.1), and gives its ID token. */
export type IdTokenSource = (nonce: string) => Promise<Secret>

/** What the authority wants to see with the ID token, and the nonce that ties it to them. */
export interface BegunLogin {
  readonly nonce: string
  readonly random: string
  readonly key: KeyObject
}

/** A key and a random text of this very sign-in: an ID token for their nonce is of no use to anybody else. */
export async function beginLogin(): Promise<BegunLogin> {
  const { privateKey: key, jwk } = await generateP256()
  const random = toBase64url(randomBytes(32))
  return { key, random, nonce: loginNonce(jwkThumbprint(jwk), random, sha256) }
}

export interface SignIn {
  readonly identity: Identity
  readonly logins: LoginStore
  readonly idToken: IdTokenSource
}

/** The sign-in lies sealed beside the identity afterwards; the provider's token is not kept. Throws as `requestLogin`, and what the provider threw. */
export async function signIn({ identity, logins, idToken }: SignIn): Promise<SignedInUser> {
  const { nonce, random, key } = await beginLogin()
  const login = await requestLogin(identity, { idToken: await idToken(nonce), random, key })
  await logins.write(login)
  return login.user
}
