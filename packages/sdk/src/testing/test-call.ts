/** A call of a handler as `protect` makes it, of anybody whom a test names: nothing is decided, and there is no socket. */

import { IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import { epochSeconds, parseSpiffeId, Secret, toSeconds } from '@doorward/core'
import type { Principal } from '@doorward/core'
import { holdAnswer } from './held-answer.ts'
import { rememberCall } from '../protect/protected-call.ts'
import type { ProtectedCall, ProtectedListener } from '../protect/protected-call.ts'
import { systemRuntime } from '../runtime.ts'

export interface TestPrincipalOptions {
  readonly roles?: readonly string[]
  /** SPIFFE ID of the workload for which it acts; itself by default. */
  readonly onBehalfOf?: string
  /** SPIFFE IDs of those between, current actor first; nobody by default. */
  readonly through?: readonly string[]
  readonly scope?: readonly string[]
}

const TOKEN_SECONDS = 300

/** Who calls, by SPIFFE ID. Throws `spiffe_id_invalid`. */
export function testPrincipal(id: string, options: TestPrincipalOptions = {}): Principal {
  const { roles = [], onBehalfOf = id, through = [], scope } = options
  return {
    subject: { kind: 'workload', id: parseSpiffeId(onBehalfOf) },
    presenter: parseSpiffeId(id),
    act: through.map((actor) => parseSpiffeId(actor)),
    roles,
    ...(scope === undefined ? {} : { scope }),
    epoch: 1,
    strength: 'mtls-bound-token',
    certificateFingerprint: 'test',
    certificateSerial: '00',
    tokenId: 'test',
    expires: epochSeconds(toSeconds(systemRuntime.wall()) + TOKEN_SECONDS),
  }
}

export interface TestRequest {
  /** `GET` by default. */
  readonly method?: string
  /** Path and query; `/` by default. */
  readonly url?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Uint8Array
  /** The declared route that it is of; method and path by default. */
  readonly route?: string
  /** Aborts when the caller has gone; never by default. */
  readonly signal?: AbortSignal
}

export interface TestAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
  text(): string
  json(): unknown
}

/** Resolves with the answer when the handler has ended it, 4 MiB at most. Rejects with what the handler throws. */
export async function testCall(
  handler: ProtectedListener,
  principal: Principal,
  asked: TestRequest = {},
): Promise<TestAnswer> {
  const request = requestOf(asked)
  const response = new ServerResponse(request)
  const { promise, resolve, reject } = Promise.withResolvers<TestAnswer>()
  holdAnswer(
    response,
    async ({ status, bytes }) => {
      resolve(answerOf(response, status, bytes))
      return { type: '', bytes }
    },
    reject,
  )
  const known: ProtectedCall = {
    principal,
    decision: 'test#0',
    route: asked.route ?? `${request.method} ${(asked.url ?? '/').split('?')[0]}`,
    token: new Secret('test'),
    signal: asked.signal ?? new AbortController().signal,
  }
  rememberCall(request, known)
  const running = (async () => handler(request, response, known))()
  running.catch(reject)
  return promise
}

function requestOf({ method = 'GET', url = '/', headers = {}, body = '' }: TestRequest): IncomingMessage {
  const request = new IncomingMessage(new Socket())
  const bytes = Buffer.from(body)
  const length = bytes.length === 0 ? {} : { 'content-length': String(bytes.length) }
  const named = Object.entries(headers).map(([name, value]): [string, string] => [name.toLowerCase(), value])
  const all = { host: 'callee.test', ...Object.fromEntries(named), ...length }
  request.httpVersion = '1.1'
  request.httpVersionMajor = 1
  request.httpVersionMinor = 1
  request.method = method
  request.url = url
  request.headers = all
  request.rawHeaders = Object.entries(all).flat()
  request.complete = true
  if (bytes.length > 0) request.push(bytes)
  request.push(null)
  return request
}

function answerOf(response: ServerResponse, status: number, body: Uint8Array): TestAnswer {
  const headers = Object.fromEntries(
    Object.entries(response.getHeaders()).map(([name, value]) => [name, [value].flat().join(', ')]),
  )
  const text = () => Buffer.from(body).toString('utf8')
  return { status, headers, body, text, json: () => JSON.parse(text()) as unknown }
}
