/** What a client asks for at `/authorize` (RFC 6749 §4.1.1, RFC 7636, RFC 8707, RFC 9449 §10). Pure. */

import type { FrontRequest } from './store.ts'

export interface FrontResource {
  readonly url: string
  /** What people are told it is. */
  readonly name: string
  readonly scopes: readonly string[]
  /** Where the client asks for none. */
  readonly defaultScopes: readonly string[]
}

/** RFC 6749 §4.1.2.1, RFC 8707 §2. */
export type AuthorizeError =
  | 'invalid_request'
  | 'unsupported_response_type'
  | 'invalid_scope'
  | 'invalid_target'
  | 'access_denied'
  | 'server_error'
  | 'temporarily_unavailable'

export interface AuthorizeProblem {
  readonly error: AuthorizeError
  readonly why: string
}

type Asked = Pick<FrontRequest, 'challenge' | 'resource' | 'scopes' | 'state' | 'jkt'>

const HASH = /^[A-Za-z0-9_-]{43}$/
/** RFC 6749 appendix A.5. */
const STATE = /^[\x20-\x7e]{1,512}$/

/** All that is asked for beside client and redirect; the first thing that is wrong with it. */
export function readAsked(
  parameters: ReadonlyMap<string, string>,
  resources: readonly FrontResource[],
): Asked | AuthorizeProblem {
  const given = (name: string) => parameters.get(name) || undefined
  const state = given('state') ?? null
  if (state !== null && !STATE.test(state)) return wrong('expected a state of at most 512 visible characters')
  for (const name of ['request', 'request_uri', 'response_mode', 'registration', 'id_token_hint'])
    if (given(name) !== undefined && !(name === 'response_mode' && given(name) === 'query'))
      return wrong(`expected no ${name}`)
  if (given('response_type') === undefined) return wrong('expected a response_type')
  if (given('response_type') !== 'code') return { error: 'unsupported_response_type', why: 'expected code' }
  const challenge = given('code_challenge')
  if (challenge === undefined || !HASH.test(challenge) || given('code_challenge_method') !== 'S256')
    return wrong('expected a code_challenge with the method S256')
  const jkt = given('dpop_jkt') ?? null
  if (jkt !== null && !HASH.test(jkt)) return wrong('expected dpop_jkt to be a thumbprint')
  const resource = resources.find(({ url }) => url === given('resource'))
  if (resource === undefined)
    return { error: 'invalid_target', why: `expected the resource ${resources.map(({ url }) => url).join(' or ')}` }
  const scopes = readScopes(given('scope'), resource)
  if (scopes === null) return { error: 'invalid_scope', why: `expected scopes among ${resource.scopes.join(', ')}` }
  return { challenge, resource: resource.url, scopes, state, jkt }
}

/** Of this resource alone, each once. */
function readScopes(text: string | undefined, { scopes, defaultScopes }: FrontResource): readonly string[] | null {
  if (text === undefined) return defaultScopes
  const asked = [...new Set(text.split(' ').filter((one) => one !== ''))]
  return asked.every((one) => scopes.includes(one)) ? asked : null
}

function wrong(why: string): AuthorizeProblem {
  return { error: 'invalid_request', why }
}

/** Where the client is answered: its own redirect, what it is told, its state, and who says so (RFC 9207). */
export function answerUrl(
  { redirectUri, state }: Pick<FrontRequest, 'redirectUri' | 'state'>,
  issuer: string,
  told: Readonly<Record<string, string>>,
): URL {
  const url = new URL(redirectUri)
  for (const [name, value] of Object.entries({ ...told, ...(state === null ? {} : { state }), iss: issuer }))
    url.searchParams.set(name, value)
  return url
}
