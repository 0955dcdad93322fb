/** What a proxy says of a request that it holds, and asks a decision about. */

import { isIP } from 'node:net'
import { deny, readTarget, remoteAddressOf } from '@doorward/enforcement'
import type { Denial } from '@doorward/enforcement'

/** Its words, as they came: nothing of it is judged. */
export interface Asked {
  readonly method: string | undefined
  /** Path and query, as in the first line of the request. */
  readonly target: string | undefined
  readonly host: string | undefined
  /** DER of the certificate that its caller has shown and holds the key of; null where it has shown none. */
  readonly certificate: Uint8Array | null
  /** Of its caller; undefined where the proxy does not say. */
  readonly address: string | undefined
  readonly authorization: string | undefined
}

/** Words that cannot be read, with as much as could be read before: whose request it is, and which. */
export interface Unreadable {
  readonly denial: Denial
  readonly asked: Partial<Pick<Asked, 'method' | 'target' | 'address'>>
}

/** A service whose requests another proxy forwards. */
export interface DecidedRoutes {
  /** What tokens for it are for. */
  readonly audience: string
  readonly methods: ReadonlySet<string>
  /** Host by which its callers reach it at the proxy, lowercase, without the port of https. */
  readonly host: string
  /** What stands before its paths there, without a final slash; empty for nothing. */
  readonly prefix: string
}

/** A request that was asked about, in the one spelling that is decided about. */
export interface AskedRequest {
  readonly method: string
  /** As its caller has written it. */
  readonly target: string
  readonly path: string
  readonly query: string
  /** Below the root of the service. */
  readonly route: string
  /** Of its caller. */
  readonly address: string
  readonly certificate: Uint8Array | null
  readonly authorization: string | undefined
}

/** As much as an assertion holds. */
const MAX_TARGET = 2048
const METHOD = /^[A-Z]{1,16}$/

export function askedRequest(asked: Asked, service: DecidedRoutes): AskedRequest | Denial {
  const { method, target, certificate, authorization } = asked
  if (method === undefined || !METHOD.test(method)) return deny('assertion_invalid', 'it does not say the method')
  if (target === undefined || target.length > MAX_TARGET)
    return deny('assertion_invalid', 'it does not say path and query, or too much of them')
  if (hostOf(asked.host) !== service.host)
    return deny('host_unknown', `expected the host ${service.host}, got ${shown(asked.host)}`)
  const read = readTarget(target)
  if ('problem' in read) return deny('path_ambiguous', read.problem)
  const { path, query } = read
  if (!path.startsWith(`${service.prefix}/`)) return deny('path_unknown', `expected a path below ${service.prefix}/`)
  if (!service.methods.has(method)) return deny('http_method', `${method} is not a method of the service`)
  const address = addressOf(asked.address)
  if (address === undefined) return deny('assertion_invalid', 'it does not say the address of the caller')
  return { method, target, path, query, route: path.slice(service.prefix.length), address, certificate, authorization }
}

/** Undefined for what is no address. */
export function addressOf(text: string | undefined): string | undefined {
  const address = remoteAddressOf(text ?? '')
  return isIP(address) === 0 ? undefined : address
}

function hostOf(text: string | undefined): string | undefined {
  return text?.toLowerCase().replace(/:443$/, '')
}

function shown(text: string | undefined): string {
  return text === undefined ? 'none' : JSON.stringify(text.slice(0, 120))
}
