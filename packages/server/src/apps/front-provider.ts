/** The provider at which people of the front sign in: one client of ours there, and the judgement of what comes back. */

import { DoorwardError, Secret, toSeconds } from '@doorward/core'
import type { Clock } from '@doorward/core'
import type { FrontProvider } from '../authority/front/context.ts'
import type { SignInRefusal } from '../authority/people.ts'
import type { IssuerSettings } from '../config/issuer-settings.ts'
import { readSecretFile } from '../config/secret-file.ts'
import { verifyIdToken } from '../issuers/id-token.ts'
import { findProvider, redeemCode } from '../transports/sign-in-provider.ts'
import type { ProviderPlaces, SignInClient } from '../transports/sign-in-provider.ts'
import { fetchOptions, openIssuers } from './issuers.ts'

export interface FrontProviderSettings {
  readonly issuer: IssuerSettings
  readonly clientId: string
  /** Null for a public client. */
  readonly clientSecretFile: string | null
  readonly scopes: readonly string[]
  /** Where the provider sends browsers back to. */
  readonly redirectUri: string
}

/** Where a provider's endpoints are is asked again after this long. */
const PLACES_MILLISECONDS = 600_000
const WORD = /^[a-z_]{1,64}$/

/** Throws `file_unreadable`, `certificates_invalid`, `issuer_keys_invalid`, `secret_file`. */
export async function openFrontProvider(settings: FrontProviderSettings, clock: Clock): Promise<FrontProvider> {
  const { clientId, clientSecretFile, scopes, redirectUri } = settings
  const [issuer] = (await openIssuers([settings.issuer], clock)).issuers
  if (issuer === undefined) throw new Error('expected one issuer')
  const secret = clientSecretFile === null ? null : () => readSecretFile(clientSecretFile)
  await secret?.()
  const client: SignInClient = { clientId, secret, access: await fetchOptions(settings.issuer.access) }
  const places = placesOf(issuer.issuer, client)
  return {
    begin: async ({ state, nonce, challenge }) => {
      const found = await places()
      if (found instanceof DoorwardError) return refusalOf(found)
      const url = new URL(found.authorization)
      const asked = {
        response_type: 'code',
        client_id: clientId,
        redirect_uri: redirectUri,
        scope: scopes.join(' '),
        state,
        nonce,
        code_challenge: challenge,
        code_challenge_method: 'S256',
      }
      for (const [name, value] of Object.entries(asked)) url.searchParams.set(name, value)
      return url
    },
    finish: async ({ parameters, nonce, verifier }) => {
      const found = await places()
      if (found instanceof DoorwardError) return refusalOf(found)
      const code = codeIn(parameters, found)
      if ('ok' in code) return code
      try {
        const idToken = await redeemCode(found, client, { ...code, redirectUri, verifier: new Secret(verifier) })
        const use = { clientId, nonce, mayLackNonce: false, maxAgeSeconds: null, now: toSeconds(clock()) }
        return await verifyIdToken(issuer, idToken.reveal(), use)
      } catch (error) {
        if (error instanceof DoorwardError) return refusalOf(error)
        throw error
      }
    },
  }
}

/** Kept for a while; a provider that cannot be asked is asked again by whoever comes next. */
function placesOf(issuer: string, { access }: SignInClient): () => Promise<ProviderPlaces | DoorwardError> {
  let held: { readonly places: ProviderPlaces; readonly at: number } | null = null
  let asking: Promise<ProviderPlaces | DoorwardError> | null = null
  const ask = async () => {
    try {
      const places = await findProvider(issuer, access)
      held = { places, at: performance.now() }
      return places
    } catch (error) {
      if (error instanceof DoorwardError) return error
      throw error
    } finally {
      asking = null
    }
  }
  return () => {
    if (held !== null && performance.now() - held.at < PLACES_MILLISECONDS) return Promise.resolve(held.places)
    return (asking ??= ask())
  }
}

/** Another issuer's answer to our request is a mix-up (RFC 9207 §2.4). */
function codeIn(
  parameters: ReadonlyMap<string, string>,
  { issuer, namesIssuer }: ProviderPlaces,
): { readonly code: Secret } | SignInRefusal {
  const iss = parameters.get('iss')
  if (iss === undefined ? namesIssuer : iss !== issuer)
    return { ok: false, code: 'token_issuer', message: `expected an answer by ${issuer}` }
  const error = parameters.get('error')
  if (error !== undefined) {
    const word = WORD.test(error) ? error : 'an error'
    return { ok: false, code: word, message: 'the provider has refused the sign-in' }
  }
  const code = parameters.get('code')
  return code === undefined || code === ''
    ? { ok: false, code: 'sign_in_invalid', message: 'the answer to the sign-in holds no code' }
    : { code: new Secret(code) }
}

/** What cannot be fetched is a provider that is away; everything else is one that says no. */
function refusalOf({ code, got, expected }: DoorwardError): SignInRefusal {
  const away = code === 'document_unavailable' || code === 'document_refused'
  const message = `expected ${expected ?? 'another answer'}, got ${got ?? 'none'}`
  return { ok: false, code: away ? 'issuer_unavailable' : code, message }
}
