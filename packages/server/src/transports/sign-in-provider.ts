/**
 * What a provider is asked during a sign-in: where things are (OpenID Connect Discovery), the code for an ID token (RFC 6749
 * §4.1.3 with PKCE, RFC 7636) or the device's (RFC 8628). Nothing is verified of the ID token here: the authority does.
 */

import { DoorwardError, isJsonObject, isText, member, scanJson, Secret } from '@doorward/core'
import type { JsonObject } from '@doorward/core'
import { documentBytes, exchangeDocument, fetchDocument } from './fetch-document.ts'
import type { DocumentAnswer, FetchOptions } from './fetch-document.ts'
import { basic } from './introspection-request.ts'

export interface ProviderPlaces {
  readonly issuer: string
  readonly authorization: URL
  readonly token: URL
  /** Null: the provider knows no devices. */
  readonly device: URL | null
  /** The redirect says whom it is from (RFC 9207). */
  readonly namesIssuer: boolean
}

export interface SignInClient {
  readonly clientId: string
  /** Null for a public client. */
  readonly secret: (() => Promise<Secret>) | null
  readonly access: FetchOptions
}

export interface DeviceGrant {
  readonly deviceCode: Secret
  readonly userCode: string
  readonly verificationUrl: URL
  /** With the code in it; null where the provider has none. */
  readonly completeUrl: URL | null
  readonly expiresInSeconds: number
  readonly intervalSeconds: number
}

const LIMITS = { maxBytes: documentBytes, maxDepth: 8, maxKeys: 1000 }
const MAX_URL = 2048
const MAX_TOKEN = 8192
const MAX_CODE = 64
const WORD = /^[a-z_]{1,64}$/

/** Throws `issuer_document_invalid`, and the codes of `fetchDocument`. */
export async function findProvider(issuer: string, access: FetchOptions): Promise<ProviderPlaces> {
  const where = new URL(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`)
  const values = objectOf(await fetchDocument(where, access))
  if (values === null || member(values, 'issuer') !== issuer)
    throw documentInvalid(where, `issuer ${issuer}`, values === null ? 'no JSON object' : 'another one')
  const place = (name: string) => {
    const text = member(values, name)
    const url = isText(text, MAX_URL) && URL.canParse(text) ? new URL(text) : null
    return url?.protocol === 'https:' && url.username === '' && url.hash === '' ? url : null
  }
  const [authorization, token] = [place('authorization_endpoint'), place('token_endpoint')]
  if (authorization === null || token === null)
    throw documentInvalid(where, 'https URLs of authorization_endpoint and token_endpoint', 'others')
  const namesIssuer = member(values, 'authorization_response_iss_parameter_supported') === true
  return { issuer, authorization, token, device: place('device_authorization_endpoint'), namesIssuer }
}

/** The ID token for a code. Throws `sign_in_refused` with the provider's word, `sign_in_invalid`, and as `fetchDocument`. */
export async function redeemCode(
  places: ProviderPlaces,
  client: SignInClient,
  grant: { readonly code: Secret; readonly redirectUri: string; readonly verifier: Secret },
): Promise<Secret> {
  const answer = await post(places.token, client, {
    grant_type: 'authorization_code',
    code: grant.code.reveal(),
    redirect_uri: grant.redirectUri,
    code_verifier: grant.verifier.reveal(),
  })
  if (answer.status !== 200) throw refusedBy(places.token, errorIn(answer))
  return idTokenIn(places.token, answer)
}

/** Throws `device_unsupported`, `sign_in_refused`, `sign_in_invalid`, and as `fetchDocument`. */
export async function beginDevice(
  { device, issuer }: ProviderPlaces,
  client: SignInClient,
  parameters: Readonly<Record<string, string>>,
): Promise<DeviceGrant> {
  if (device === null)
    throw new DoorwardError('device_unsupported', 'the provider knows no sign-in by device code', {
      where: issuer,
      next: 'doorward login without --device, on a machine with a browser',
    })
  const answer = await post(device, client, parameters)
  if (answer.status !== 200) throw refusedBy(device, errorIn(answer))
  const values = objectOf(answer.body) ?? {}
  const url = (name: string) => {
    const text = member(values, name)
    return isText(text, MAX_URL) && URL.canParse(text) && text.startsWith('https:') ? new URL(text) : null
  }
  const code = member(values, 'device_code')
  const userCode = member(values, 'user_code')
  const verificationUrl = url('verification_uri')
  const [expires, interval] = [member(values, 'expires_in'), member(values, 'interval') ?? 5]
  if (!isText(code, MAX_URL) || !isText(userCode, MAX_CODE) || verificationUrl === null || typeof expires !== 'number')
    throw signInInvalid(device, 'device_code, user_code, verification_uri and expires_in')
  return {
    deviceCode: new Secret(code),
    userCode,
    verificationUrl,
    completeUrl: url('verification_uri_complete'),
    expiresInSeconds: expires,
    intervalSeconds: typeof interval === 'number' && interval > 0 ? interval : 5,
  }
}

/** The ID token once the person has agreed; `wait` and `slower` while they have not (RFC 8628 §3.5). Throws as `redeemCode`. */
export async function pollDevice(
  { token }: ProviderPlaces,
  client: SignInClient,
  deviceCode: Secret,
): Promise<Secret | 'wait' | 'slower'> {
  const answer = await post(token, client, {
    grant_type: 'urn:ietf:params:oauth:grant-type:device_code',
    device_code: deviceCode.reveal(),
  })
  if (answer.status === 200) return idTokenIn(token, answer)
  const error = errorIn(answer)
  if (error === 'authorization_pending') return 'wait'
  if (error === 'slow_down') return 'slower'
  throw refusedBy(token, error)
}

async function post(
  url: URL,
  { clientId, secret, access }: SignInClient,
  parameters: Readonly<Record<string, string>>,
): Promise<DocumentAnswer> {
  const own = secret === null ? null : (await secret()).reveal()
  const form = new URLSearchParams(own === null ? { ...parameters, client_id: clientId } : { ...parameters })
  const headers = {
    'content-type': 'application/x-www-form-urlencoded',
    ...(own === null ? {} : { authorization: basic(clientId, own) }),
  }
  return exchangeDocument(url, { method: 'POST', headers, body: form.toString() }, access)
}

function idTokenIn(url: URL, { body }: DocumentAnswer): Secret {
  const token = member(objectOf(body) ?? {}, 'id_token')
  if (!isText(token, MAX_TOKEN)) throw signInInvalid(url, 'an id_token')
  return new Secret(token)
}

/** Its one word (RFC 6749 §5.2); what a provider writes beside is not shown. */
function errorIn({ status, body }: DocumentAnswer): string {
  const error = member(objectOf(body) ?? {}, 'error')
  return typeof error === 'string' && WORD.test(error) ? error : `HTTP status ${status}`
}

function objectOf(bytes: Uint8Array): JsonObject | null {
  const scan = scanJson(bytes, LIMITS)
  return scan.ok && isJsonObject(scan.value) ? scan.value : null
}

/** The provider said no, in a word of its own. */
export function refusedBy({ origin }: URL, got: string): DoorwardError {
  return new DoorwardError('sign_in_refused', 'the provider refused the sign-in', { where: origin, got })
}

function signInInvalid({ origin }: URL, expected: string): DoorwardError {
  return new DoorwardError('sign_in_invalid', 'the provider gave an answer that cannot be used', {
    where: origin,
    expected,
  })
}

function documentInvalid({ href }: URL, expected: string, got: string): DoorwardError {
  return new DoorwardError('issuer_document_invalid', 'the provider does not say what a sign-in needs', {
    where: href,
    expected,
    got,
  })
}
