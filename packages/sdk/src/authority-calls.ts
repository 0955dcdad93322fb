/** The authority's main API, called wherever an authority answers. Every call of it may be repeated. */

import type { SpiffeId } from '@doorward/core'
import type { AuthorityRoute, RoutedPlace } from './authority-route.ts'
import type { ConnectionPool } from './connection-pool.ts'
import { exchange, withinAnswerTime } from './https-exchange.ts'
import type { CallResponse } from './https-exchange.ts'
import { readRefusal, refusalError } from './refusal.ts'
import type { CallOptions, SignedFetch } from './signed-fetch.ts'
import type { Svid } from './svid.ts'

export type AuthorityCallOptions = Pick<CallOptions, 'method' | 'headers' | 'body' | 'signal'>

export interface AuthorityAnswer {
  readonly response: CallResponse
  readonly place: RoutedPlace
}

export interface AuthorityCalls {
  /** The URL by which all of them are known. */
  readonly issuer: string
  /** Resolves with the head of an answer below 500. Throws the codes of `SignedFetch.call`, and refusals from 500 on. */
  call(path: string, options?: AuthorityCallOptions): Promise<AuthorityAnswer>
  /** The same at one place alone: where a stream comes from, say. */
  callAt(place: RoutedPlace, path: string, options?: AuthorityCallOptions): Promise<CallResponse>
  /** The place stopped to answer after it had begun. */
  failed(place: RoutedPlace): void
}

export interface AuthorityCallParts {
  readonly route: AuthorityRoute
  readonly fetch: SignedFetch
  /** Gets the token that the calls need, which shows which places answer before a body is made for one. */
  readonly prepare: () => Promise<unknown>
  readonly authorityId: SpiffeId
  /** Issuer, and audience of the calls: the same at every place. */
  readonly authorityUrl: string
}

export function authorityCalls({
  route,
  fetch,
  prepare,
  authorityId,
  authorityUrl,
}: AuthorityCallParts): AuthorityCalls {
  const callAt = (place: RoutedPlace, path: string, options: AuthorityCallOptions = {}) =>
    fetch.call(new URL(path, authorityUrl), {
      ...options,
      audience: authorityUrl,
      expectedId: authorityId,
      at: addressOf(place.main),
    })
  return {
    issuer: authorityUrl,
    callAt,
    call: async (path, options = {}) => {
      await prepare()
      return route.through(
        async (place, signal) => ({ response: await usable(await callAt(place, path, { ...options, signal })), place }),
        options,
      )
    },
    failed: (place) => route.failed(place),
  }
}

/** The answer, or its refusal as an error when another place may do better. */
export async function usable(response: CallResponse): Promise<CallResponse> {
  if (response.status < 500) return response
  throw refusalError(await readRefusal(response), 'authority')
}

export interface TokenPost {
  readonly svid: Svid
  readonly form: string
  readonly signal: AbortSignal
}

/** Sends a form to the token endpoint at a place, over a connection that carries this SVID. */
export function tokenEndpoint({
  pool,
  authorityId,
  authorityUrl,
}: Pick<AuthorityCallParts, 'authorityId' | 'authorityUrl'> & { readonly pool: ConnectionPool }) {
  const url = new URL('/v1/token', authorityUrl)
  const headers = { 'content-type': 'application/x-www-form-urlencoded', accept: 'application/json' }
  return ({ main }: RoutedPlace, { svid, form, signal }: TokenPost): Promise<CallResponse> => {
    const agent = pool.agent({ ...addressOf(main), expected: authorityId }, svid)
    return exchange(agent, url, { method: 'POST', headers, body: form, signal: withinAnswerTime(signal) })
  }
}

/** Of `host:port`, an IPv6 address in brackets. */
export function addressOf(place: string): { readonly host: string; readonly port: number } {
  const { hostname, port } = new URL(`https://${place}`)
  return { host: hostname.replaceAll(/^\[|\]$/g, ''), port: Number(port || '443') }
}
