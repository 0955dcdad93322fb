/** Header hygiene: a parsed request head, or the reason why it is refused. Nothing is repaired. */

import type { IncomingMessage } from 'node:http'
import { deny } from '../denial.ts'
import type { Denial } from '../denial.ts'
import type { RequestHead } from '../inbound.ts'
import { readTarget } from './request-path.ts'

/** What the HTTP parser says of a request's head. */
export type RawHead = Pick<IncomingMessage, 'rawHeaders' | 'url' | 'httpVersion' | 'method'>

export interface HeadRules {
  /** Accepted `Host` values. */
  readonly authorities: ReadonlySet<string>
  /** Accepted `Origin` values; a request with any other is refused, one without passes. */
  readonly origins: ReadonlySet<string>
  /** Header lines; 64 by default. */
  readonly maxHeaderLines: number
}

export interface ParsedHead {
  readonly head: RequestHead
  readonly problem: Denial | null
}

/** Every other header must stand alone: proxies disagree about which of two counts. */
const repeatable = new Set([
  'accept',
  'accept-encoding',
  'accept-language',
  'baggage',
  'cache-control',
  'tracestate',
  'via',
])
const forbiddenNames = new Set(['__proto__', 'constructor', 'prototype', 'tostring', 'valueof', 'hasownproperty'])
const NAME = /^[a-z0-9-]+$/
const VALUE = /^[\t\x20-\x7e]*$/
const METHOD = /^[A-Z]{1,16}$/

/** Reads the head. `sni` is the server name of the handshake, false or empty when the client sent none. */
export function readHead(request: RawHead, sni: string | false | null | undefined, rules: HeadRules): ParsedHead {
  const headers: Record<string, string> = Object.create(null)
  const target = readTarget(request.url ?? '')
  const head: RequestHead = {
    method: METHOD.test(request.method ?? '') ? request.method! : 'INVALID',
    path: 'problem' in target ? printable(request.url ?? '') : target.path,
    query: 'problem' in target ? '' : target.query,
    headers,
  }
  const problem =
    collect(request.rawHeaders, headers, rules.maxHeaderLines) ??
    versionProblem(request) ??
    framingProblem(headers) ??
    hostProblem(headers, sni, rules.authorities) ??
    originProblem(headers, rules.origins) ??
    ('problem' in target ? deny('path_ambiguous', target.problem) : null)
  return { head, problem }
}

/** A refused target, fit for the record. */
function printable(target: string): string {
  return target.slice(0, 256).replaceAll(/[^\x21-\x7e]/g, '?')
}

function collect(raw: readonly string[], headers: Record<string, string>, limit: number): Denial | null {
  if (raw.length > 2 * limit)
    return deny('header_limit', `${raw.length / 2} header lines, at most ${limit} are accepted`)
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i]!.toLowerCase()
    const value = raw[i + 1]!
    if (!NAME.test(name) || forbiddenNames.has(name))
      return deny('header_name', `header name ${JSON.stringify(name.slice(0, 64))}`)
    if (!VALUE.test(value)) return deny('request_malformed', `header ${name} has a character that is not visible ASCII`)
    const before = headers[name]
    if (before !== undefined && !repeatable.has(name)) return deny('header_duplicate', `header ${name} is repeated`)
    headers[name] = before === undefined ? value : `${before}, ${value}`
  }
  return null
}

function versionProblem(request: RawHead): Denial | null {
  if (request.httpVersion === '1.1') return null
  return deny('http_version', `expected HTTP/1.1, got HTTP/${request.httpVersion}`)
}

function framingProblem(headers: Readonly<Record<string, string>>): Denial | null {
  const coding = headers['transfer-encoding']
  if (coding !== undefined && coding !== 'chunked')
    return deny('request_malformed', 'expected Transfer-Encoding: chunked')
  if (coding !== undefined && headers['content-length'] !== undefined) {
    return deny('request_malformed', 'Transfer-Encoding beside Content-Length')
  }
  const length = headers['content-length']
  if (length !== undefined && !/^\d{1,15}$/.test(length))
    return deny('request_malformed', 'Content-Length is not a number')
  if (headers['content-encoding'] !== undefined) return deny('content_encoding', 'a Content-Encoding header')
  if (headers['expect'] !== undefined) return deny('expectation', 'an Expect header')
  if (headers['upgrade'] !== undefined) return deny('request_malformed', 'an Upgrade header')
  return connectionProblem(headers['connection'])
}

/** `Connection` may not name headers: that is how a proxy is made to drop them. */
function connectionProblem(value: string | undefined): Denial | null {
  if (value === undefined) return null
  for (const option of value.toLowerCase().split(',')) {
    const word = option.trim()
    if (word !== 'keep-alive' && word !== 'close')
      return deny('request_malformed', 'a Connection option that is not accepted')
  }
  return null
}

function hostProblem(
  headers: Readonly<Record<string, string>>,
  sni: string | false | null | undefined,
  authorities: ReadonlySet<string>,
): Denial | null {
  const host = headers['host']
  if (host === undefined) return deny('request_malformed', 'no Host header')
  if (!authorities.has(host))
    return deny('host_unknown', `Host ${JSON.stringify(host.slice(0, 120))} is not configured`)
  const name = host.replace(/:\d+$/, '')
  if (typeof sni === 'string' && sni !== '' && sni !== name) {
    return deny(
      'host_unknown',
      `the handshake was for ${JSON.stringify(sni.slice(0, 120))}, the Host header for another name`,
    )
  }
  return null
}

function originProblem(headers: Readonly<Record<string, string>>, origins: ReadonlySet<string>): Denial | null {
  const origin = headers['origin']
  if (origin === undefined || origins.has(origin)) return null
  return deny('origin_unknown', `Origin ${JSON.stringify(origin.slice(0, 120))} is not configured`)
}
