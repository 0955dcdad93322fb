/**
 * Fetches a small document from a URL that configuration names: over TLS 1.3, without redirects, within two seconds and
 * 64 KiB. The name is resolved once, every address it has is judged, and one of those is connected to, so that a name
 * that changes its mind in between leads nowhere else (threat model: own fetches).
 */

import { lookup } from 'node:dns'
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { request } from 'node:https'
import { BlockList, isIP } from 'node:net'
import type { LookupFunction } from 'node:net'
import { joinBytes, DoorwardError } from '@doorward/core'

export interface FetchOptions {
  /** PEM certificates that alone are trusted; the platform's by default. */
  readonly ca?: string
  /** Addresses of private networks and of this machine are accepted too; link-local ones, where metadata services are, never. */
  readonly allowPrivateAddresses: boolean
  /** For the whole answer; 2000 by default. */
  readonly milliseconds?: number
  /** Ends it sooner; nothing does by default. */
  readonly signal?: AbortSignal
}

export const documentBytes = 65_536
const defaultMilliseconds = 2000

const PRIVATE = ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10', '127.0.0.0/8', '::1/128', 'fc00::/7']
/** Link-local, multicast, reserved and documentation, and forms that hide an IPv4 address. */
const NEVER = [
  '0.0.0.0/8',
  '169.254.0.0/16',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.88.99.0/24',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/4',
  '240.0.0.0/4',
  '::/128',
  '64:ff9b::/96',
  '64:ff9b:1::/48',
  '100::/64',
  '2001::/23',
  '2001:db8::/32',
  '2002::/16',
  'fd00:ec2::/32',
  'fe80::/10',
  'ff00::/8',
]

function blockList(networks: readonly string[]): BlockList {
  const list = new BlockList()
  for (const network of networks) {
    const [address = '', bits = ''] = network.split('/')
    list.addSubnet(address, Number(bits), address.includes(':') ? 'ipv6' : 'ipv4')
  }
  return list
}

const privateAddresses = blockList(PRIVATE)
const refusedAddresses = blockList(NEVER)
/** IPv4 in IPv6 clothes. */
const MAPPED = /^::ffff:/i

/** Whether a document may be fetched from there. */
export function isFetchable(address: string, allowPrivateAddresses: boolean): boolean {
  const family = isIP(address) === 6 ? 'ipv6' : 'ipv4'
  if (isIP(address) === 0 || MAPPED.test(address) || refusedAddresses.check(address, family)) return false
  return allowPrivateAddresses || !privateAddresses.check(address, family)
}

/** What is asked of a place. */
export interface DocumentRequest {
  readonly method: string
  /** Beside those that every request has. */
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  /** Of the answer; 64 KiB by default. */
  readonly maxBytes?: number
}

export interface DocumentAnswer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  /** Bounded, without content coding. */
  readonly body: Uint8Array
}

/**
 * The body of a 200 answer. Throws `document_refused` for a URL that is not https or an address that is not accepted,
 * and `document_unavailable` for everything that goes wrong on the way.
 */
export async function fetchDocument(url: URL, options: FetchOptions): Promise<Uint8Array> {
  return ownBody(url, await exchangeDocument(url, { method: 'GET' }, options))
}

/** The body of an answer, when it has the status 200. Throws `document_unavailable`. */
export function ownBody(url: URL, { status, body }: DocumentAnswer): Uint8Array {
  if (status !== 200) throw unavailable(url, `expected status 200, got ${status}`)
  return body
}

/** The same for any method, with whatever status is answered. Nothing is repeated. Throws as `fetchDocument`. */
export async function exchangeDocument(
  url: URL,
  request: DocumentRequest,
  options: FetchOptions,
): Promise<DocumentAnswer> {
  const host = url.hostname.replaceAll(/^\[|\]$/g, '')
  if (url.protocol !== 'https:' || url.username !== '' || url.password !== '')
    throw refusedDocument(url, 'an https URL without credentials', url.protocol)
  if (isIP(host) !== 0 && !isFetchable(host, options.allowPrivateAddresses))
    throw refusedDocument(url, 'an address of a public network', host)
  try {
    return await bodyOf(await answerOf(url, request, options), request.maxBytes ?? documentBytes)
  } catch (error) {
    if (error instanceof DoorwardError) throw error
    throw unavailable(url, error instanceof Error ? error.message : String(error))
  }
}

function answerOf(
  url: URL,
  { method, headers, body }: DocumentRequest,
  { ca, allowPrivateAddresses, milliseconds = defaultMilliseconds, signal }: FetchOptions,
): Promise<IncomingMessage> {
  const late = AbortSignal.timeout(milliseconds)
  return new Promise((resolve, reject) => {
    const outgoing = request(url, {
      agent: false,
      method,
      headers: { accept: 'application/json', ...headers, 'accept-encoding': 'identity', connection: 'close' },
      lookup: judgedLookup(url, allowPrivateAddresses),
      minVersion: 'TLSv1.3',
      signal: signal === undefined ? late : AbortSignal.any([late, signal]),
      ...(ca === undefined ? {} : { ca }),
    })
    outgoing.once('response', resolve)
    outgoing.once('error', reject)
    outgoing.end(body)
  })
}

async function bodyOf(answer: IncomingMessage, maxBytes: number): Promise<DocumentAnswer> {
  const { statusCode: status = 0, headers } = answer
  const encoding = headers['content-encoding'] ?? 'identity'
  if (encoding !== 'identity') {
    answer.destroy()
    throw new Error(`expected no content coding, got ${encoding}`)
  }
  const parts: Uint8Array[] = []
  let length = 0
  for await (const part of answer as AsyncIterable<Uint8Array>) {
    length += part.length
    if (length > maxBytes) throw new Error(`expected at most ${maxBytes} bytes`)
    parts.push(part)
  }
  return { status, headers, body: joinBytes(parts) }
}

/** One bad address among many is enough: the name is not what it should be. */
function judgedLookup(url: URL, allowPrivateAddresses: boolean): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, addresses) => {
      if (error !== null) return callback(error, [])
      const bad = addresses.find(({ address }) => !isFetchable(address, allowPrivateAddresses))
      if (bad !== undefined) return callback(refusedDocument(url, 'an address of a public network', bad.address), [])
      const [first] = addresses
      if (options.all === true || first === undefined) return callback(null, addresses)
      callback(null, first.address, first.family)
    })
  }
}

function refusedDocument(url: URL, expected: string, got: string): DoorwardError {
  return new DoorwardError('document_refused', 'nothing is fetched from there', { where: url.origin, expected, got })
}

function unavailable(url: URL, got: string): DoorwardError {
  return new DoorwardError('document_unavailable', 'a document cannot be fetched', { where: url.origin, got })
}
