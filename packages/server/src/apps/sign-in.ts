/**
 * Signing in at a provider from this machine: authorization code with PKCE on a loopback redirect (RFC 8252, RFC 7636), or a
 * device code (RFC 8628). Either way the ID token is made for a key that this machine has just made.
 */

import { createHash } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { DoorwardError, Secret, toBase64url } from '@doorward/core'
import { beginLogin, randomBytes } from '@doorward/sdk'
import type { IssuerSettings, LoginSettings } from '../config/issuer-settings.ts'
import { readSecretFile } from '../config/secret-file.ts'
import { openRedirect } from '../transports/loopback-redirect.ts'
import type { RedirectAnswer } from '../transports/loopback-redirect.ts'
import { beginDevice, findProvider, pollDevice, redeemCode, refusedBy } from '../transports/sign-in-provider.ts'
import type { DeviceGrant, ProviderPlaces, SignInClient } from '../transports/sign-in-provider.ts'
import { fetchOptions } from './issuers.ts'

export interface SignInOptions {
  readonly settings: IssuerSettings & { readonly login: LoginSettings }
  readonly signal: AbortSignal
}

export interface BrowserSignIn extends SignInOptions {
  /** Shows the URL to the person; the redirect is being waited for. */
  readonly show: (url: URL) => Promise<void>
}

export interface DeviceSignIn extends SignInOptions {
  readonly show: (grant: Pick<DeviceGrant, 'userCode' | 'verificationUrl' | 'completeUrl'>) => void
}

/** What the authority needs of it. */
export interface ProviderSignIn {
  readonly idToken: Secret
  readonly random: string
  readonly key: KeyObject
}

/** A person who looks elsewhere for longer begins again. */
const patienceMilliseconds = 300_000
const MAX_DEVICE_SECONDS = 900
const SLOWER_SECONDS = 5

interface Begun {
  readonly places: ProviderPlaces
  readonly client: SignInClient
  readonly key: KeyObject
  readonly random: string
  readonly parameters: Readonly<Record<string, string>>
}

async function begin({ settings }: SignInOptions): Promise<Begun> {
  const { issuer, login } = settings
  const { clientId, clientSecretFile, scopes, maxAgeSeconds } = login
  const access = await fetchOptions(settings.access)
  const secret = clientSecretFile === null ? null : () => readSecretFile(clientSecretFile)
  const { key, random, nonce } = await beginLogin()
  const parameters = {
    scope: scopes.join(' '),
    nonce,
    ...(maxAgeSeconds === null ? {} : { max_age: String(maxAgeSeconds) }),
  }
  return {
    places: await findProvider(issuer, access),
    client: { clientId, secret, access },
    key,
    random,
    parameters,
  }
}

/**
 * Throws `sign_in_timeout` after five minutes, `sign_in_interrupted`, `sign_in_refused`, `sign_in_invalid`, and what finding the
 * provider throws.
 */
export async function signInWithBrowser(options: BrowserSignIn): Promise<ProviderSignIn> {
  const { places, client, key, random, parameters } = await begin(options)
  const [state, verifier] = [randomText(), randomText()]
  const patience = AbortSignal.timeout(patienceMilliseconds)
  const redirect = await openRedirect(state, AbortSignal.any([options.signal, patience]))
  try {
    const url = new URL(places.authorization)
    const challenge = createHash('sha256').update(verifier).digest('base64url')
    const asked = {
      ...parameters,
      response_type: 'code',
      client_id: client.clientId,
      redirect_uri: redirect.url,
      state,
      code_challenge: challenge,
      code_challenge_method: 'S256',
    }
    for (const [name, value] of Object.entries(asked)) url.searchParams.set(name, value)
    await options.show(url)
    const answer = await redirect.arrived()
    if (answer === null) throw nobodyCame(patience)
    const grant = { code: codeIn(answer, places), redirectUri: redirect.url, verifier: new Secret(verifier) }
    return { idToken: await redeemCode(places, client, grant), random, key }
  } finally {
    await redirect.close()
  }
}

/** Another issuer's answer to our request is a mix-up (RFC 9207 §2.4). */
function codeIn({ parameters }: RedirectAnswer, { issuer, namesIssuer, authorization }: ProviderPlaces): Secret {
  const iss = parameters.get('iss')
  if (iss === undefined ? namesIssuer : iss !== issuer)
    throw new DoorwardError('sign_in_invalid', 'the answer to the sign-in is from another issuer', {
      expected: issuer,
      got: (iss ?? 'none').slice(0, 200),
    })
  const error = parameters.get('error')
  if (error !== undefined) throw refusedBy(authorization, error.slice(0, 64))
  const code = parameters.get('code')
  if (code !== undefined && code !== '') return new Secret(code)
  throw new DoorwardError('sign_in_invalid', 'the answer to the sign-in holds no code', { where: authorization.origin })
}

/** Throws as `signInWithBrowser`, and `device_unsupported`. */
export async function signInWithDevice(options: DeviceSignIn): Promise<ProviderSignIn> {
  if (!options.settings.login.device)
    throw new DoorwardError('device_unsupported', 'people do not sign in there by device code', {
      where: `issuers.${options.settings.name}.login.device`,
      expected: 'true, for the authority too',
      next: 'doorward login without --device, on a machine with a browser',
    })
  const { places, client, key, random, parameters } = await begin(options)
  const grant = await beginDevice(places, client, parameters)
  options.show(grant)
  const patience = AbortSignal.timeout(Math.min(grant.expiresInSeconds, MAX_DEVICE_SECONDS) * 1000)
  const signal = AbortSignal.any([options.signal, patience])
  let seconds = grant.intervalSeconds
  for (;;) {
    await sleep(seconds * 1000, undefined, { signal }).catch(() => {
      throw nobodyCame(patience)
    })
    const answer = await pollDevice(places, client, grant.deviceCode)
    if (answer === 'slower') seconds += SLOWER_SECONDS
    else if (answer !== 'wait') return { idToken: answer, random, key }
  }
}

function nobodyCame(patience: AbortSignal): DoorwardError {
  return patience.aborted
    ? new DoorwardError('sign_in_timeout', 'nobody has signed in in time', { next: 'doorward login' })
    : new DoorwardError('sign_in_interrupted', 'the sign-in was interrupted', { next: 'doorward login' })
}

function randomText(): string {
  return toBase64url(randomBytes(32))
}
