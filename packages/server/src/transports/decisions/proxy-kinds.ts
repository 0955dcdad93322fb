/** The headers in which each kind of proxy says what it asks about. What else could say it refuses the question. */

import { deny, isDenial } from '@doorward/enforcement'
import type { Denial, RequestHead } from '@doorward/enforcement'
import type { Asked, Unreadable } from './asked.ts'
import { base64Der, base64List, escapedPem, forwardedClientCert } from './shown-certificate.ts'
import type { ReadCertificate } from './shown-certificate.ts'

export const proxyKinds = ['nginx', 'caddy', 'traefik', 'haproxy', 'envoy'] as const
export type ProxyKind = (typeof proxyKinds)[number]

interface KindRow {
  /** Names of headers. Null: the question itself has the method, the path behind its own, and the host. */
  readonly request: { readonly method: string; readonly target: string; readonly host: string } | null
  readonly address: string
  /** Which element of it is the caller's: the last, or the one before those that the proxy adds of itself. */
  readonly addressAt: number
  readonly certificate: string
  readonly read: ReadCertificate
  /** Says that the request came over TLS; null where the proxy is not asked. */
  readonly scheme: string | null
  /** An answer that is neither allowed nor one of these is taken for a fault, so they say no alone; null for any status. */
  readonly refusals: ReadonlySet<number> | null
  /** Names of headers that it adds to each question, and that say nothing of the request. */
  readonly besides: readonly string[]
  /** It passes on what its caller has sent beside that, which is looked at no further. */
  readonly passesOthers: boolean
}

const original = {
  request: { method: 'x-original-method', target: 'x-original-uri', host: 'x-original-host' },
  address: 'x-original-address',
  addressAt: -1,
  besides: [],
  certificate: 'x-client-certificate',
  scheme: null,
  refusals: null,
  passesOthers: false,
} as const
const forwarded = {
  request: { method: 'x-forwarded-method', target: 'x-forwarded-uri', host: 'x-forwarded-host' },
  address: 'x-forwarded-for',
  addressAt: -1,
  besides: [],
  scheme: 'x-forwarded-proto',
  refusals: null,
  passesOthers: false,
} as const

const kinds: Readonly<Record<ProxyKind, KindRow>> = {
  nginx: { ...original, read: escapedPem, refusals: new Set([401, 403]) },
  haproxy: { ...original, read: base64Der },
  caddy: { ...forwarded, certificate: 'x-client-certificate', read: base64Der, passesOthers: true },
  traefik: { ...forwarded, certificate: 'x-forwarded-tls-client-cert', read: base64List },
  envoy: {
    request: null,
    // Its client for HTTP appends Envoy's own address, and says two things of itself.
    address: 'x-forwarded-for',
    addressAt: -2,
    besides: ['x-envoy-internal', 'x-envoy-expected-rq-timeout-ms'],
    certificate: 'x-forwarded-client-cert',
    read: forwardedClientCert,
    scheme: 'x-forwarded-proto',
    refusals: null,
    passesOthers: false,
  },
}

/** Of the exchange itself, and what callers prove themselves with. */
const always: ReadonlySet<string> = new Set([
  'accept',
  'accept-encoding',
  'authorization',
  'connection',
  'content-length',
  'host',
  'user-agent',
  'via',
])

/** What some proxy or framework takes for the word of a proxy, or for another method. */
const WORDS =
  /^(?:x-(?:original|forwarded|client|ssl|envoy|real|rewrite|http-method|method)|ssl[-_]|forwarded|client-cert|doorward)/

/** True where the question is asked below a path of ours by the path of the request. */
export function asksByPath(kind: ProxyKind): boolean {
  return kinds[kind].request === null
}

/** Address of the caller, as the proxy says it: what it has seen itself stands last, what stands before is the caller's word. */
export function askedAddress(kind: ProxyKind, { headers }: Pick<RequestHead, 'headers'>): string | undefined {
  const { address, addressAt } = kinds[kind]
  return headers[address]?.split(',').at(addressAt)?.trim()
}

/** What the head says; `rest` is what follows the name of the service in its path. */
export function readAsked(kind: ProxyKind, head: RequestHead, rest: string): Asked | Unreadable {
  const row = kinds[kind]
  const { headers } = head
  const said = { ...requestOf(row, head, rest), address: askedAddress(kind, head) }
  const problem = wordsProblem(kind, headers)
  if (problem !== null) return { denial: problem, asked: said }
  const certificate = certificateOf(row, headers)
  if (certificate !== null && isDenial(certificate)) return { denial: certificate, asked: said }
  return { ...said, certificate, authorization: headers['authorization'] }
}

function wordsProblem(kind: ProxyKind, headers: RequestHead['headers']): Denial | null {
  const row = kinds[kind]
  const known = new Set([...Object.values(row.request ?? {}), row.address, row.certificate, row.scheme, ...row.besides])
  const unexpected = Object.keys(headers).find(
    (name) => !always.has(name) && !known.has(name) && (!row.passesOthers || WORDS.test(name)),
  )
  if (unexpected !== undefined)
    return deny('assertion_invalid', `the header ${unexpected.slice(0, 64)} is none that ${kind} asks with`)
  if (row.scheme !== null && headers[row.scheme] !== 'https')
    return deny('assertion_invalid', `${row.scheme} does not say that the request came over TLS`)
  return null
}

function requestOf(
  { request }: KindRow,
  { method, query, headers }: RequestHead,
  rest: string,
): Pick<Asked, 'method' | 'target' | 'host'> {
  if (request === null) return { method, target: query === '' ? rest : `${rest}?${query}`, host: headers['host'] }
  return { method: headers[request.method], target: headers[request.target], host: headers[request.host] }
}

function certificateOf({ certificate, read }: KindRow, headers: RequestHead['headers']): Uint8Array | Denial | null {
  const text = headers[certificate]
  if (text === undefined || text === '') return null
  return read(text) ?? deny('assertion_invalid', `${certificate} is not one certificate in the form of this proxy`)
}

/** The status that a proxy of this kind passes on, or takes for a no. */
export function statusFor(kind: ProxyKind, status: number): number {
  const { refusals } = kinds[kind]
  return refusals === null || refusals.has(status) ? status : 403
}
