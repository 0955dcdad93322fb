/** Our own APIs: a table of routes behind the same decision path as every other call. */

import { fromUtf8, isJsonObject, scanJson } from '@doorward/core'
import type { ActionGroup, JsonObject, JsonValue, Principal } from '@doorward/core'
import {
  deny,
  isDenial,
  isDenialCode,
  isMediaType,
  isRefusal,
  recordOutcome,
  send,
  sendJson,
  sendRefusal,
  StageTimes,
} from '@doorward/enforcement'
import type {
  Call,
  Denial,
  Exchange,
  Inbound,
  OpenCall,
  Outcome,
  Permit,
  Pipeline,
  Refusal,
  RefusalForm,
  RequiredCredential,
  BeginTrace,
  CallTrace,
} from '@doorward/enforcement'
import { allowedReport, refusedReport } from './call-report.ts'
import type { CallReport } from './call-report.ts'
import { sendLines } from './ndjson.ts'

/** What a route's request brought, already checked for its form. */
export interface ApiRequest {
  readonly query: ReadonlyMap<string, string>
  /** The JSON object of the body; null for routes without one. */
  readonly json: JsonObject | null
  /** The fields of a form body; empty for other routes. */
  readonly form: ReadonlyMap<string, string>
}

export type ApiAnswer =
  | {
      readonly kind: 'json'
      readonly status: number
      readonly value: unknown
      /** Beside those that every answer has. */
      readonly headers?: Readonly<Record<string, string>>
    }
  | { readonly kind: 'text'; readonly type: string; readonly text: string }
  /** One JSON text per line; the iteration ends when the signal aborts, which it does when the caller has gone. */
  | { readonly kind: 'lines'; readonly lines: (signal: AbortSignal) => AsyncIterable<string> }

export interface ApiRoute {
  readonly method: string
  /** Exact path. */
  readonly path: string
  readonly credential: RequiredCredential
  readonly group: ActionGroup
  readonly body: 'none' | 'json' | 'form'
  /** The longest body; 64 KiB by default. */
  readonly bodyBytes?: number
  /** Accepted query parameters, each at most once; none by default. */
  readonly query?: readonly string[]
  /** How refusals are worded: as our own API's by default. */
  readonly refusals?: 'oauth'
  /** Called once the decision is on record. A denial that it returns is the recorded outcome. */
  readonly handle: (permit: Permit<ApiRequest>, exchange: Exchange) => Promise<ApiAnswer | Denial>
}

export interface ApiOptions {
  readonly pipeline: Pipeline
  readonly routes: readonly ApiRoute[]
  /** What tokens must be for. */
  readonly audience: string
  /** Name of our API in policy. */
  readonly server: 'authority' | 'gateway'
  /** Told of outcomes that could not be recorded, and of handlers that failed. */
  readonly onProblem?: (error: unknown) => void
  /** Of requests; none by default. */
  readonly traces?: ApiTraces
  /** Told how each request ended; nobody is by default. */
  readonly onAnswered?: (answered: ApiAnswered) => void
}

export interface ApiTraces {
  readonly begin: BeginTrace
  /** Milliseconds that never go back. */
  readonly monotonic: () => number
  /** Told of each request that has a trace which is kept, when it has ended. */
  readonly ended: (report: CallReport) => void
}

/** A request whose trace is kept. */
interface Traced {
  readonly trace: CallTrace
  readonly times: StageTimes
  readonly ended: ApiTraces['ended']
}

export interface ApiAnswered {
  /** Null for what is no route. */
  readonly route: ApiRoute | null
  /** `allowed`, or the code of the refusal or failure. */
  readonly code: string
  /** From the recorded decision on; null for refusals, and for streams, which last as long as they are wanted. */
  readonly milliseconds: number | null
}

const MAX_BODY = 64 * 1024
const JSON_LIMITS = { maxDepth: 8, maxKeys: 1000 }
const MAX_FIELDS = 32

/** Judges and answers one request. Never rejects. Strangers learn nothing about which paths exist: they are refused first. */
export async function serveApi(exchange: Exchange, options: ApiOptions): Promise<void> {
  const { pipeline, audience } = options
  const inbound: Inbound = { connection: exchange.connection, head: exchange.head, audience }
  const route = findRoute(exchange, options)
  const form = refusalForm(route)
  if (exchange.problem !== null)
    return refused(exchange, await pipeline.refuseHead(inbound, exchange.problem), { route, form, options })
  const traced = tracedOf(exchange, options)
  const permit = await pipeline.enforce<ApiRequest>(inbound, {
    ...(traced === null ? {} : { times: traced.times }),
    credential: isDenial(route) ? 'token' : route.credential,
    readBody: () => exchange.readBody(!isDenial(route) && route.body !== 'none' ? bodyBytes(route) : 0),
    classifier: (body) => (isDenial(route) ? route : callOf(exchange, { route, body, server: options.server })),
  })
  if (isRefusal(permit)) {
    refused(exchange, permit, { route, form, options })
    traced?.times.mark('closed')
    return traced?.ended(refusedReport(exchange, permit, { ...traced, server: options.server }))
  }
  if (!isDenial(route)) await answer(exchange, { permit, route, options, traced })
}

function tracedOf({ head }: Exchange, { traces }: ApiOptions): Traced | null {
  const trace = traces?.begin(head) ?? null
  if (traces === undefined || trace?.sampled !== true) return null
  return { trace, times: new StageTimes(traces.monotonic, true), ended: traces.ended }
}

interface Refused {
  readonly route: ApiRoute | Denial
  readonly form: RefusalForm
  readonly options: ApiOptions
}

function refused(exchange: Exchange, refusal: Refusal, { route, form, options }: Refused): void {
  sendRefusal(exchange, refusal, form)
  options.onAnswered?.({ route: isDenial(route) ? null : route, code: refusal.denial.code, milliseconds: null })
}

function refusalForm(route: ApiRoute | Denial): RefusalForm {
  return !isDenial(route) && route.refusals === 'oauth' ? { oauth: true } : {}
}

/** The caller of a permitted request. */
export function callerOf(permit: Permit<ApiRequest>): Principal {
  return permit.admitted.authorized.classified.identified.principal
}

/** What a permitted request brought. */
export function requestOf(permit: Permit<ApiRequest>): ApiRequest {
  return permit.admitted.authorized.classified.call.detail
}

function findRoute({ head }: Exchange, { routes }: ApiOptions): ApiRoute | Denial {
  const atPath = routes.filter(({ path }) => path === head.path)
  if (atPath.length === 0) return deny('path_unknown', `no route ${JSON.stringify(head.path.slice(0, 120))}`)
  const route = atPath.find(({ method }) => method === head.method)
  return route ?? deny('http_method', `expected ${atPath.map(({ method }) => method).join(' or ')}, got ${head.method}`)
}

interface Judged {
  readonly route: ApiRoute
  readonly body: Uint8Array
  readonly server: string
}

function callOf({ head }: Exchange, { route, body, server }: Judged): Call<ApiRequest> | Denial {
  const query = readFields(head.query, route.query ?? [])
  if (isDenial(query)) return query
  const content = readContent(head.headers['content-type'], route, body)
  if (isDenial(content)) return content
  return {
    action: { name: route.method, group: route.group },
    resource: { server, kind: 'route', name: route.path },
    args: undefined,
    rpcId: undefined,
    detail: { query, ...content },
  }
}

const noContent: Pick<ApiRequest, 'json' | 'form'> = { json: null, form: new Map() }

function readContent(
  type: string | undefined,
  route: ApiRoute,
  body: Uint8Array,
): Pick<ApiRequest, 'json' | 'form'> | Denial {
  switch (route.body) {
    case 'none':
      return noContent
    case 'json': {
      if (!isMediaType(type, 'application/json')) return deny('content_type', 'expected application/json')
      const json = readJsonObject(body, bodyBytes(route))
      return isDenial(json) ? json : { json, form: new Map() }
    }
    case 'form': {
      if (!isMediaType(type, 'application/x-www-form-urlencoded'))
        return deny('content_type', 'expected application/x-www-form-urlencoded')
      const text = readText(body)
      const form = typeof text === 'string' ? readFields(text, null) : text
      return isDenial(form) ? form : { json: null, form }
    }
  }
}

function bodyBytes({ bodyBytes: own = MAX_BODY }: ApiRoute): number {
  return own
}

/** One JSON object by the strict grammar, or why not. */
export function readJsonObject(body: Uint8Array, maxBytes = MAX_BODY): JsonObject | Denial {
  if (body.length === 0) return deny('body_missing', 'expected a JSON object')
  const scan = scanJson(body, { ...JSON_LIMITS, maxBytes })
  if (!scan.ok) return deny(scan.code, `${scan.code} at byte ${scan.offset}: ${scan.message}`)
  const value: JsonValue = scan.value
  return isJsonObject(value) ? value : deny('request_invalid', 'expected a JSON object')
}

export function readText(body: Uint8Array): string | Denial {
  try {
    return fromUtf8(body)
  } catch {
    return deny('json_not_utf8', 'expected UTF-8')
  }
}

/** URL-encoded fields, each once. With `known`, others are refused. */
export function readFields(text: string, known: readonly string[] | null): ReadonlyMap<string, string> | Denial {
  const fields = new Map<string, string>()
  for (const [name, value] of new URLSearchParams(text)) {
    if (fields.has(name))
      return deny('request_invalid', `the parameter ${JSON.stringify(name.slice(0, 60))} is repeated`)
    if (known !== null && !known.includes(name))
      return deny('request_invalid', `no parameter ${JSON.stringify(name.slice(0, 60))}`)
    if (fields.size >= MAX_FIELDS) return deny('request_invalid', `expected at most ${MAX_FIELDS} parameters`)
    fields.set(name, value)
  }
  return fields
}

interface Permitted {
  readonly permit: Permit<ApiRequest>
  readonly route: ApiRoute
  readonly options: ApiOptions
}

interface Answering extends Permitted {
  readonly traced: Traced | null
}

async function answer(exchange: Exchange, { permit, route, options, traced }: Answering): Promise<void> {
  const started = performance.now()
  permit.use()
  let result: ApiAnswer | Denial
  try {
    result = options.pipeline.overtaken(permit.admitted) ?? (await route.handle(permit, exchange))
  } catch (error) {
    options.onProblem?.(error)
    result = failureOf(error)
  }
  const sent = isDenial(result)
    ? sendDenied(exchange, { permit, route, options }, result)
    : await sendAnswer(exchange, { permit, route, options }, result)
  const took = performance.now() - started
  const milliseconds = Math.round(took)
  const streamed = !isDenial(result) && result.kind === 'lines'
  options.onAnswered?.({ route, code: sent.code ?? 'allowed', milliseconds: streamed ? null : took })
  const outcome = { ...sent, milliseconds }
  if (traced !== null) {
    const { times, trace } = traced
    times.mark('closed')
    const stream = streamed ? 'session' : 'none'
    traced.ended(allowedReport(permit, outcome, { times, trace, method: exchange.head.method, stream }))
  }
  try {
    await recordOutcome(permit.entry, outcome, options.pipeline.dependencies.log)
  } catch (error) {
    options.onProblem?.(error)
  }
}

/** An authority that could not publish what it was asked for: it may again in a moment, or another one can now. */
const unready: ReadonlySet<string> = new Set([
  'delegation_expired',
  'delegation_missing',
  'delegation_raced',
  'store_went_back',
  'trust_state_foreign',
  'trust_state_raced',
  'trust_state_unpublished',
])

/** What failed is told by its code when the table has it; the rest is nobody's business outside. */
export function failureOf(error: unknown): Denial {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  if (unready.has(code)) return deny('authority_unready', String(error))
  if (code.startsWith('record_')) return deny('record_unavailable', String(error))
  return deny(isDenialCode(code) ? code : 'internal', String(error))
}

function sendDenied(exchange: Exchange, { permit, route }: Permitted, denial: Denial): Omit<Outcome, 'milliseconds'> {
  const refusal = { refused: true, denial: { ...denial, caller: callerOf(permit) }, entry: permit.entry } as const
  sendRefusal(exchange, refusal, refusalForm(route))
  const { code, explanation } = denial
  return { status: 'failed', http: exchange.response.statusCode, bytes: 0, code, explanation }
}

async function sendAnswer(
  exchange: Exchange,
  permitted: Permitted,
  result: ApiAnswer,
): Promise<Omit<Outcome, 'milliseconds'>> {
  const headers = { 'Doorward-Decision': permitted.permit.entry.toString(), 'Doorward-Code': 'allowed' }
  if (result.kind === 'lines') return sendStream(exchange, permitted, { lines: result.lines, headers })
  if (result.kind === 'text') {
    send(exchange, 200, { 'Content-Type': result.type, 'Cache-Control': 'no-store', ...headers }, result.text)
    return { status: 'completed', http: 200, bytes: Buffer.byteLength(result.text) }
  }
  if (result.status === 204) send(exchange, 204, headers)
  else sendJson(exchange, result.status, result.value, { ...result.headers, ...headers })
  const length = Number(exchange.response.getHeader('content-length') ?? 0)
  return { status: 'completed', http: result.status, bytes: length }
}

function reasonOf({ code, explanation }: Denial): Pick<Outcome, 'code' | 'explanation'> {
  return { code, explanation }
}

interface Streaming {
  readonly lines: Extract<ApiAnswer, { kind: 'lines' }>['lines']
  readonly headers: Readonly<Record<string, string>>
}

/** A stream ends with the credentials that opened it, and with the policy that allowed it, whatever becomes of its connection. */
async function sendStream(
  exchange: Exchange,
  { permit, options: { pipeline } }: Permitted,
  { lines, headers }: Streaming,
): Promise<Omit<Outcome, 'milliseconds'>> {
  const withdrawn = new AbortController()
  let held: Denial | null = null
  const end = (denial: Denial): void => {
    held ??= denial
    withdrawn.abort()
  }
  const call: OpenCall = { authorized: permit.admitted.authorized, withdraw: end, forbid: end }
  pipeline.track(call)
  try {
    const { bytes, cancelled } = await sendLines(exchange, lines, { headers, ending: withdrawn.signal })
    if (held !== null) return { status: 'failed', http: 200, bytes, ...reasonOf(held) }
    return { status: cancelled ? 'cancelled' : 'completed', http: 200, bytes }
  } finally {
    pipeline.open.remove(call)
  }
}
