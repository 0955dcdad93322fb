/**
 * The front: what clients of people and their browsers reach of an authority. It turns requests into questions to the rules of
 * the front, and their answers into pages, redirects and JSON. Nobody holds a certificate here, and every URL is from configuration.
 */

import {
  deny,
  denialRow,
  isDenial,
  isMediaType,
  limitArrival,
  networkKey,
  send,
  sendJson,
  sendRefusal,
} from '@doorward/enforcement'
import type { AnswerHeaders, Denial, Exchange, Inbound, Pipeline, ProofRules } from '@doorward/enforcement'
import type { TokenKey } from '@doorward/core'
import type { FrontContext } from '../authority/front/context.ts'
import { isFrontRefusal } from '../authority/front/refusal.ts'
import type { FrontRefusal } from '../authority/front/refusal.ts'
import { answerConsent, beginSignIn, signedIn } from '../authority/front/sign-in.ts'
import type { BrowserStep, FrontBrowser } from '../authority/front/sign-in.ts'
import { readFields, readText } from './api-routes.ts'
import { frontKeys, frontMetadata, frontPaths, metadataPaths } from './front-metadata.ts'
import { choicePage, consentPage, frontPageHeaders, onwardPage, refusedPage } from './front-pages.ts'
import { answerRevoke, answerToken } from './front-token.ts'

export interface FrontOptions {
  readonly pipeline: Pipeline
  readonly context: FrontContext
  readonly proofs: ProofRules
  readonly cimd: boolean
  /** Those of the trust state that are not denied. */
  readonly tokenKeys: () => readonly TokenKey[]
  /** Pages of others that may ask for tokens from a browser; none by default. */
  readonly origins: ReadonlySet<string>
  readonly onProblem: (error: unknown) => void
}

const MAX_VALUE = 2048
const MAX_FORM = 1024
const MAX_COOKIES = 64
const COOKIE = '__Host-doorward-front-'
const STEP_SECONDS = 600
const METADATA_SECONDS = 60
const PREFLIGHT_SECONDS = '600'
/** What programs send forms to. */
const forms: ReadonlySet<string> = new Set([frontPaths.token, frontPaths.revoke])
/** What pages of others may ask, where they may ask at all: browsers' own steps are none of it. */
const forPrograms: ReadonlySet<string> = new Set([...metadataPaths, frontPaths.jwks, ...forms])

/** Answers one request; never rejects for what a caller or a provider does. */
export async function serveFront(exchange: Exchange, options: FrontOptions): Promise<void> {
  const inbound = inboundOf(exchange, options)
  const { limiter, connectionLimits } = options.pipeline.dependencies
  const problem =
    (await limitArrival(inbound, limiter, connectionLimits)) ?? exchange.problem ?? originProblem(exchange, options)
  letBrowserRead(exchange, options)
  if (problem !== null) return refuse(exchange, options, problem)
  try {
    await answer(exchange, options)
  } catch (error) {
    options.onProblem(error)
    const code = error instanceof Error && 'code' in error ? String(error.code) : ''
    const unready = code.startsWith('store_')
      ? 'store_unavailable'
      : code.startsWith('record_')
        ? 'record_unavailable'
        : 'internal'
    await refuse(exchange, options, deny(unready, `the front failed: ${code}`))
  }
}

function inboundOf({ connection, head }: Exchange, { context }: Pick<FrontOptions, 'context'>): Inbound {
  return { connection, head, audience: context.settings.publicUrl }
}

/** Pages of others fetch metadata and tokens; nobody sends a form of ours but we. */
function originProblem({ head }: Exchange, { context }: FrontOptions): Denial | null {
  const { origin } = head.headers
  if (origin === undefined || origin === context.settings.publicUrl || forPrograms.has(head.path)) return null
  return deny('origin_unknown', 'expected a page of our own')
}

/** No answer to a program depends on a cookie. */
function letBrowserRead({ head, response }: Exchange, { origins }: FrontOptions): void {
  if (origins.size === 0 || !forPrograms.has(head.path)) return
  response.setHeader('Vary', 'Origin')
  const { origin } = head.headers
  if (origin === undefined || !origins.has(origin)) return
  response.setHeader('Access-Control-Allow-Origin', origin)
  response.setHeader('Access-Control-Expose-Headers', 'DPoP-Nonce, Doorward-Code, Retry-After, WWW-Authenticate')
}

async function answer(exchange: Exchange, options: FrontOptions): Promise<void> {
  const { path, method } = exchange.head
  if (metadataPaths.has(path) || path === frontPaths.jwks) return describe(exchange, options)
  if (forms.has(path)) return tokens(exchange, options)
  const expected = path === frontPaths.consent ? 'POST' : 'GET'
  const step = browserSteps[path]
  if (step === undefined) return refuse(exchange, options, deny('path_unknown', 'nothing is at this path'))
  if (method !== expected) return refuse(exchange, options, deny('http_method', `expected ${expected}, got ${method}`))
  const parameters = await parametersOf(exchange, options)
  if (isDenial(parameters)) return refuse(exchange, options, parameters)
  const result = await step(options.context, parameters, browserOf(exchange, options))
  if (isFrontRefusal(result)) return refuse(exchange, options, denialOf(result))
  return show(exchange, options, result)
}

const browserSteps: Readonly<
  Record<
    string,
    (
      context: FrontContext,
      parameters: ReadonlyMap<string, string>,
      browser: FrontBrowser,
    ) => Promise<BrowserStep | FrontRefusal>
  >
> = { [frontPaths.authorize]: beginSignIn, [frontPaths.callback]: signedIn, [frontPaths.consent]: answerConsent }

function describe(exchange: Exchange, options: FrontOptions): Promise<void> | void {
  const { method, path } = exchange.head
  if (method === 'OPTIONS') return preflight(exchange, options)
  if (method !== 'GET') return refuse(exchange, options, deny('http_method', `expected GET, got ${method}`))
  const { context, proofs, cimd, tokenKeys } = options
  const { publicUrl, resources } = context.settings
  const value =
    path === frontPaths.jwks
      ? frontKeys(tokenKeys())
      : frontMetadata({
          publicUrl,
          scopes: resources.flatMap(({ scopes }) => scopes),
          resources: resources.map(({ url }) => url),
          proofAlgorithms: proofs.algorithms,
          cimd,
        })
  sendJson(exchange, 200, value, { 'Cache-Control': `public, max-age=${METADATA_SECONDS}` })
}

async function tokens(exchange: Exchange, options: FrontOptions): Promise<void> {
  const { method, path } = exchange.head
  const { proofs } = options
  if (method === 'OPTIONS') return preflight(exchange, options)
  if (proofs.nonceRequired) exchange.response.setHeader('DPoP-Nonce', proofs.nonces.current())
  if (method !== 'POST') return refuse(exchange, options, deny('http_method', `expected POST, got ${method}`))
  const result = await (path === frontPaths.revoke ? answerRevoke : answerToken)(exchange, options)
  if (isDenial(result)) return refuse(exchange, options, result)
  sendJson(exchange, 200, result.body, { Pragma: 'no-cache' })
}

function preflight(exchange: Exchange, options: FrontOptions): Promise<void> | void {
  const { headers } = exchange.head
  if (!options.origins.has(headers['origin'] ?? '') || headers['access-control-request-method'] === undefined)
    return refuse(exchange, options, deny('http_method', 'OPTIONS without Origin and what it asks for'))
  send(exchange, 204, {
    'Access-Control-Allow-Methods': 'GET, POST, OPTIONS',
    'Access-Control-Allow-Headers': 'Accept, Content-Type, DPoP, MCP-Protocol-Version',
    'Access-Control-Max-Age': PREFLIGHT_SECONDS,
  })
}

/** Each once (RFC 6749 §3.1), and none longer than any is. */
async function parametersOf(
  exchange: Exchange,
  { context }: FrontOptions,
): Promise<ReadonlyMap<string, string> | Denial> {
  const { path, query, headers } = exchange.head
  if (path !== frontPaths.consent) return shortFields(query)
  // A page of somebody else cannot answer for the person.
  const { origin, 'sec-fetch-site': site = 'same-origin' } = headers
  if (origin !== context.settings.publicUrl || site !== 'same-origin')
    return deny('origin_unknown', 'the form is from another origin')
  if (!isMediaType(headers['content-type'], 'application/x-www-form-urlencoded'))
    return deny('content_type', 'expected application/x-www-form-urlencoded')
  const body = await exchange.readBody(MAX_FORM)
  const text = isDenial(body) ? body : readText(body)
  return typeof text === 'string' ? shortFields(text) : text
}

function shortFields(text: string): ReadonlyMap<string, string> | Denial {
  const fields = readFields(text, null)
  if (isDenial(fields)) return fields
  const long = [...fields].find(([, value]) => value.length > MAX_VALUE)
  return long === undefined ? fields : deny('request_invalid', `${long[0].slice(0, 60)} is too long`)
}

function browserOf({ connection, head }: Exchange, { pipeline }: FrontOptions): FrontBrowser {
  const pairs = (head.headers['cookie'] ?? '').split(';', MAX_COOKIES).map((pair) => pair.trim().split('='))
  const cookies = new Map(pairs.flatMap(([name = '', value = '']) => (name.startsWith(COOKIE) ? [[name, value]] : [])))
  return {
    address: pipeline.dependencies.connectionLimits.ipKey(connection.remoteAddress),
    network: networkKey(connection.remoteAddress),
    cookie: (name) => cookies.get(`${COOKIE}${name}`),
  }
}

async function show(exchange: Exchange, options: FrontOptions, step: BrowserStep): Promise<void> {
  switch (step.kind) {
    case 'go':
      return redirect(exchange, step.url, [cookieOf(step.cookie.name, step.cookie.value, STEP_SECONDS)])
    case 'ask': {
      const { request, user, token, cookie, spent } = step
      const { clientName: client, redirectUri, resource, scopes } = request
      const set = [cookieOf(spent, '', 0), cookieOf(cookie.name, cookie.value, STEP_SECONDS)]
      const { resources, scopesNarrow } = options.context.settings
      const { name = '' } = resources.find(({ url }) => url === resource) ?? {}
      const asked = { client, redirectUri, resource: { url: resource, name }, scopes: scopesNarrow ? scopes : null }
      const shown = consentPage({ ...asked, user, token })
      return send(exchange, 200, { ...frontPageHeaders, 'Set-Cookie': set }, shown)
    }
    case 'back': {
      const { url, spent, problem, goes } = step
      const code = problem === null ? {} : { 'Doorward-Code': problem.code }
      if (problem !== null) await options.pipeline.refuse(inboundOf(exchange, options), denialOf(problem))
      const set = spent === null ? [] : [cookieOf(spent, '', 0)]
      if (exchange.head.method === 'GET') return redirect(exchange, url, set, code)
      return send(
        exchange,
        200,
        { ...frontPageHeaders, ...code, 'Set-Cookie': set },
        goes ? onwardPage(url) : choicePage(url),
      )
    }
  }
}

function redirect(exchange: Exchange, url: URL, cookies: readonly string[], more: AnswerHeaders = {}): void {
  const set = cookies.length === 0 ? {} : { 'Set-Cookie': cookies }
  send(exchange, 303, { ...frontPageHeaders, ...more, ...set, Location: url.href })
}

/** Lax: the browser must bring it along when the provider sends it back. */
function cookieOf(name: string, value: string, seconds: number): string {
  return `${COOKIE}${name}=${value}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=${seconds}`
}

function denialOf({ code, why }: FrontRefusal): Denial {
  return deny(code, why)
}

/** On the record; programs are told in the words of OAuth, people on a page that says no more than its code. */
async function refuse(exchange: Exchange, options: FrontOptions, denial: Denial): Promise<void> {
  const refusal = await options.pipeline.refuse(inboundOf(exchange, options), denial)
  if (forPrograms.has(exchange.head.path)) return sendRefusal(exchange, refusal, { oauth: true })
  const { code, retryAfterSeconds } = refusal.denial
  const { http, text } = denialRow(code)
  const retry = retryAfterSeconds === null ? {} : { 'Retry-After': String(retryAfterSeconds) }
  send(exchange, http, { ...frontPageHeaders, ...retry, 'Doorward-Code': code }, refusedPage(text))
}
